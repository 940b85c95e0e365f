// One session and the paths to it: WebRTC, and a WebSocket where that does not get through. It draws nothing.
const CONNECT_MS = 20000;
const RACE_MS = 2000; // WebRTC has so long to connect before the WebSocket starts as well
const RESUME_MS = 18000; // the server keeps a lost session for 20 s
const MOVED_MS = 2000; // the front and the path itself may both tell of the same move
const BACK_OFF_MS = [0, 500, 1000, 2000, 4000];

class Link {
  // on: {queued(place), session(made), picture(stream), path(words), event(object), round(figures), away(), back(),
  // lost(trouble)}
  constructor(on) {
    this.on = on;
    this.id = "";
    this.ticket = ""; // while it waits in the queue
    this.isClosed = false;
    this.rtc = this.wire = this.shown = null; // `shown`: the path whose picture is seen
    this.hasShown = this.hasShownWire = false;
    this.losses = 0; // tries to come back since the picture was last seen
    this.lostMs = 0;
    this.movedMs = -Infinity;
    this.voice = null; // the microphone's track
    this.wanted = new URLSearchParams(location.search).get("path"); // "webrtc" or "websocket", for tests
  }

  async open(source, settings, camera) {
    if (!window.RTCPeerConnection && !window.WebSocket) throw noWebRtcTrouble();
    this.camera = camera;
    const made = await takeSession({ source, settings }, source.kind, this);
    this.id = made.id;
    this.ways = iceWays(made);
    if (this.isClosed) {
      this._tellClosed();
      throw new Gone();
    }
    this.on.session(made);
    if (made.events) this.news = newsOf(made.events, (news) => news.type === "move" && this._move());
    this._race();
  }

  // Sends another camera's picture from now on, without a new session.
  async replace(camera) {
    this.camera = camera;
    if (this.wire) this.wire.replace(camera);
    if (this.rtc) await this.rtc.replace(camera);
  }

  // Sends a microphone's track from now on; null sends nothing.
  async speak(track) {
    this.voice = track;
    if (this.wire) this.wire.speak(track);
    if (this.rtc) await this.rtc.speak(track);
  }

  // Tells the session something: settings that are the page's own, "undo", a question.
  say(message) {
    const path = this.shown || this.rtc || this.wire;
    if (path) path.say(message);
  }

  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const timer of [this.patience, this.late, this.again]) clearTimeout(timer);
    this._tellClosed();
    if (this.news) this.news.close();
    this._drop("rtc");
    this._drop("wire");
  }

  _tellClosed() {
    if (!this.id && !this.ticket) return;
    const what = this.id ? `sessions/${encodeURIComponent(this.id)}` : `tickets/${encodeURIComponent(this.ticket)}`;
    sayClosed(what);
  }

  // WebRTC starts at once, the WebSocket a little later. The first that has a picture is shown; WebRTC takes over.
  _race() {
    const hasRtc = this.wanted !== "websocket" && Boolean(window.RTCPeerConnection);
    if (hasRtc) this._startRtc();
    clearTimeout(this.late);
    const wait = hasRtc && !this.hasShownWire ? RACE_MS : 0;
    if (this.wanted !== "webrtc") this.late = setTimeout(() => this._startWire(), wait);
    clearTimeout(this.patience);
    if (!this.lostMs) this.patience = setTimeout(() => this._lose(notConnectedTrouble()), CONNECT_MS);
  }

  _startRtc() {
    const rtc = (this.rtc = new Rtc(this.id, this.camera, this.voice, this.ways, {
      ...this._hearing(() => rtc),
      up: () => {
        this._connected();
        clearTimeout(this.late);
        if (this.shown !== this.wire) this._drop("wire");
      },
      picture: (stream) => this._show(rtc, stream, "WebRTC"),
      gone: (trouble) => this._gone("rtc", trouble, trouble && [404, 409, 422].includes(trouble.status)),
    }));
  }

  _startWire() {
    if (this.isClosed || this.wire || (this.rtc && this.rtc.isUp)) return;
    const wire = (this.wire = new Wire(this.id, this.camera, this.voice, {
      ...this._hearing(() => wire),
      picture: (stream, codec) => {
        this._connected();
        if (!this.rtc || this.shown !== this.rtc) this._show(wire, stream, `WebSocket ${codec}`);
      },
      gone: (isOver) => this._gone("wire", null, isOver),
    }));
  }

  // Events come over both paths while both are there: those of the one that is shown count.
  _hearing(me) {
    const counts = () => !this.isClosed && (!this.shown || this.shown === me());
    return {
      event: (event) => {
        if (!counts()) return;
        if (event.type === "move") return this._move();
        this._connected();
        this.on.event(event);
      },
      round: (figures) => counts() && this.on.round(figures),
    };
  }

  _connected() {
    clearTimeout(this.patience);
  }

  _show(path, stream, words) {
    this.shown = path;
    this.hasShown = true;
    this.hasShownWire = path === this.wire;
    this.on.picture(stream);
    this.on.path(words);
    if (path === this.rtc) this._drop("wire");
    if (this.lostMs) this.on.back();
    this.lostMs = this.losses = 0;
  }

  _drop(name) {
    const path = this[name];
    this[name] = null;
    if (path) path.close();
  }

  // A path has ended by itself. `isOver`: so has the session, as far as the server says.
  _gone(name, trouble, isOver) {
    const wasShown = this.shown === this[name];
    this[name] = null;
    if (this.isClosed) return;
    const other = name === "rtc" ? this.wire : this.rtc;
    if (wasShown) this.shown = null;
    if (other && (other.isUp || !isOver)) return;
    clearTimeout(this.late);
    if (isOver) this._lose((!this.hasShown && trouble) || lostTrouble());
    else if (name === "rtc" && !wasShown && this.wanted !== "webrtc") this._startWire();
    else if (this.hasShown) this._comeBack();
    else this._lose(trouble || notConnectedTrouble());
  }

  // The server serves the session elsewhere from now on: both paths are made anew, and what is seen stands meanwhile.
  _move() {
    const now = performance.now();
    if (this.isClosed || now - this.movedMs < MOVED_MS) return;
    this.movedMs = now;
    this._drop("rtc");
    this._drop("wire");
    this.shown = null;
    if (this.hasShown) this.lostMs = this.lostMs || now;
    for (const timer of [this.late, this.again]) clearTimeout(timer);
    this._again();
  }

  _comeBack() {
    const now = performance.now();
    this.lostMs = this.lostMs || now;
    if (!this.losses) this.on.away();
    if (now - this.lostMs > RESUME_MS) return this._lose(lostTrouble());
    const wait = BACK_OFF_MS[Math.min(this.losses, BACK_OFF_MS.length - 1)];
    this.losses += 1;
    clearTimeout(this.again);
    this.again = setTimeout(() => this._again(), wait);
  }

  // The login for a TURN server may have run out meanwhile.
  async _again() {
    const ways = await freshWays(this.id);
    if (this.isClosed) return;
    if (ways) this.ways = ways;
    this._race();
  }

  _lose(trouble) {
    if (this.isClosed) return;
    this.close();
    this.on.lost(trouble);
  }
}
