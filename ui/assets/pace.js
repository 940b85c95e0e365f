// How many pictures may be under way and how many bits they may cost: the twin of realtime/websocket/pace.py, where the
// reasons stand. Time comes in as an argument, in milliseconds; tests/ui/test_pace.py runs both on one story.
const PACE = {
  leastBps: 150000,
  mostBps: 4000000,
  startBps: 1000000,
  mostInFlight: 32,
  scales: [1, 0.75, 0.5],
  scaleDownBps: [0, 500000, 250000],
  scaleUp: 1.6,
  referencePx: 640 * 480,
  startWindow: 4,
  nominalHz: 30,
  mostHz: 60,
  baseMs: 10000,
  queueMs: 25,
  fall: 0.8,
  rise: 1.06,
  riseEveryMs: 500,
  smooth: 0.25,
  stuckMs: 2000,
};

class Pace {
  constructor() {
    this.bitrate = PACE.startBps;
    this.scale = PACE.scales[0];
    this.delay = 0; // smoothed time from sending to acknowledgement, ms
    this.flight = []; // {seq, at, isKey}
    this.sentOfLate = []; // {at, size}: the last second
    this.bases = []; // {begin, shortest}: the newest two halves of baseMs
    this.changed = -Infinity;
    this.heard = null;
  }

  get base() {
    return this.bases.length ? Math.min(...this.bases.map((one) => one.shortest)) : null;
  }

  rate(now) {
    this._forget(now);
    const count = this.sentOfLate.length;
    const span = count < 2 ? 0 : (this.sentOfLate[count - 1].at - this.sentOfLate[0].at) / 1000;
    return span < 0.5 ? PACE.nominalHz : Math.min(PACE.mostHz, (count - 1) / span);
  }

  window(now) {
    if (this.base === null) return PACE.startWindow;
    return Math.min(PACE.mostInFlight, Math.ceil((this.base / 1000) * this.rate(now)) + 1);
  }

  hasRoom(now) {
    if (this.flight.length && this.heard !== null && now - this.heard > PACE.stuckMs) {
      this.flight = [];
      this.heard = now;
    }
    return this.flight.length < this.window(now);
  }

  sent(seq, size, isKey, now) {
    if (!this.flight.length) this.heard = now;
    this.flight.push({ seq, at: now, isKey });
    this.sentOfLate.push({ at: now, size });
    this._forget(now);
  }

  acked(seq, now) {
    let found = null;
    while (this.flight.length && this.flight[0].seq <= seq) {
      const one = this.flight.shift();
      if (one.seq === seq) found = one;
    }
    if (!found) return null;
    const delay = now - found.at;
    this.heard = now;
    this._learn(delay, now);
    if (!found.isKey) {
      this.delay += (delay - this.delay) * (this.delay ? PACE.smooth : 1);
      this._steer(now);
    }
    return delay;
  }

  resize(px) {
    const share = (this.bitrate * PACE.referencePx) / Math.max(1, px);
    const index = PACE.scales.indexOf(this.scale);
    if (index + 1 < PACE.scales.length && share < PACE.scaleDownBps[index + 1]) this.scale = PACE.scales[index + 1];
    else if (index && share > PACE.scaleUp * PACE.scaleDownBps[index]) this.scale = PACE.scales[index - 1];
  }

  used(now) {
    this._forget(now);
    return 8 * this.sentOfLate.reduce((sum, one) => sum + one.size, 0);
  }

  _learn(delay, now) {
    const newest = this.bases[this.bases.length - 1];
    if (!newest || now - newest.begin > PACE.baseMs / 2) this.bases = [...this.bases.slice(-1), { begin: now, shortest: delay }];
    const last = this.bases[this.bases.length - 1];
    last.shortest = Math.min(last.shortest, delay);
  }

  _steer(now) {
    const since = now - this.changed;
    const used = this.used(now);
    if (this.delay - this.base > Math.max(PACE.queueMs, this.base / 4)) {
      if (since > Math.max(200, this.delay)) this._set((used ? Math.min(this.bitrate, used) : this.bitrate) * PACE.fall, now);
    } else if (since > PACE.riseEveryMs && used > this.bitrate / 2) {
      this._set(this.bitrate * PACE.rise, now);
    }
  }

  _set(bitrate, now) {
    this.bitrate = Math.round(Math.min(PACE.mostBps, Math.max(PACE.leastBps, bitrate)));
    this.changed = now;
  }

  _forget(now) {
    while (this.sentOfLate.length && now - this.sentOfLate[0].at > 1000) this.sentOfLate.shift();
  }
}
