// The figures under the picture: age p95 large, where it is spent as a bar, its last minute as a line, and facts.
const TRACE_POINTS = 120; // one minute at two figures a second
const PARTS = ["wait", "work", "send"];
const NOTHING = "\u2013";

class Gauge {
  constructor(root) {
    this.root = root;
    this.ages = [];
    this.find = (selector) => root.querySelector(selector);
  }

  show(stats) {
    this.root.dataset.has = "figures";
    this._fact("fps", stats.fps, (value) => value.toFixed(1));
    this._fact("painted", stats.painted_fps, (value) => value.toFixed(1));
    this._fact("paint", stats.paint_age_p50_ms, (value) => `${Math.round(value)} ms`);
    this._fact("repeated", stats.repeated, (value) => value.toLocaleString("en"));
    this._fact("dropped", stats.dropped, (value) => value.toLocaleString("en"));
    this._fact("rtt", stats.rtt_ms, (value) => `${Math.round(value)} ms`);
    if (Number.isFinite(stats.age_p95_ms)) this._age(stats.age_p95_ms);
    this._bar(PARTS.map((part) => stats[`${part}_ms`]));
  }

  engine(engine) {
    if (!engine || !engine.name) return;
    this.find('[data-fact="engine"]').textContent = engine.name;
    this.find('[data-fact="why"]').textContent = engine.why || "No reason was given.";
  }

  path(words) {
    this.find('[data-fact="path"]').textContent = words;
  }

  clear() {
    this.root.dataset.has = "nothing";
    this.ages = [];
    this.find("polyline").setAttribute("points", "");
    this.find(".vs-age-ms").textContent = NOTHING;
    for (const fact of ["fps", "painted", "paint", "repeated", "dropped", "rtt", "path"]) this.find(`[data-fact="${fact}"]`).textContent = NOTHING;
    for (const fact of ["painted", "paint"]) this.find(`[data-fact="${fact}"]`).parentElement.hidden = true;
    this._bar([undefined, undefined, undefined]);
  }

  _fact(name, value, write) {
    if (!Number.isFinite(value)) return;
    const shown = this.find(`[data-fact="${name}"]`);
    shown.textContent = write(value);
    shown.parentElement.hidden = false; // some graphs alone have it
  }

  _age(age) {
    this.find(".vs-age-ms").textContent = age >= 10 ? Math.round(age) : age.toFixed(1);
    this.ages.push(age);
    if (this.ages.length > TRACE_POINTS) this.ages.shift();
    const top = Math.max(...this.ages) * 1.15 || 1;
    const from = TRACE_POINTS - this.ages.length;
    const points = this.ages.map((value, i) => `${from + i},${(23 - (22 * value) / top).toFixed(1)}`);
    this.find("polyline").setAttribute("points", points.join(" "));
  }

  _bar(times) {
    const known = times.map((time) => (Number.isFinite(time) ? Math.max(0, time) : 0));
    const sum = known.reduce((a, b) => a + b, 0);
    PARTS.forEach((part, i) => {
      this.find(`.vs-bar [data-part="${part}"]`).style.flexGrow = sum ? known[i] / sum : 0;
      const has = Number.isFinite(times[i]);
      this.find(`.vs-legend [data-part="${part}"] b`).textContent = has ? `${Math.round(times[i])} ms` : NOTHING;
    });
    const spoken = PARTS.map((part, i) => `${part} ${Math.round(known[i])} ms`).join(", ");
    this.find(".vs-bar").setAttribute("aria-label", sum ? `Of one picture's time: ${spoken}` : "Nothing measured yet");
  }
}
