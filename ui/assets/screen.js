// What is seen of the live view: the painted picture, the input in its corner, the card over both, the line below.
// It knows no session. Words reach the page as text, never as markup.
const ACTION_LABELS = {
  start: "Start",
  retry: "Try again",
  reconnect: "Reconnect",
  restart: "Restart now",
  pattern: "Use the test pattern",
  file: "Use a video file",
  choose: "Choose a video",
  cancel: "Cancel",
};
const FREEZE_WIDTH_PX = 512;

class Screen {
  constructor(root, act) {
    this.root = root;
    this.act = act; // called with the name of the action whose button was pressed
    this.find = (selector) => root.querySelector(selector);
    this.frame = this.find(".vs-screen");
    this.painted = this.find(".vs-painted");
    this.input = this.find(".vs-input");
    this.inputVideo = this.find(".vs-input video");
    this.waited = 0;
  }

  // Shows a card: what it says, what to do, and a button an action. `seconds` counts on behind the sentence.
  card(message, { hint = "", actions = [], fraction, isAlert = false, seconds = false } = {}) {
    clearInterval(this.ticking);
    const card = this.find(".vs-card");
    card.setAttribute("role", isAlert ? "alert" : "status");
    card.classList.toggle("is-alert", isAlert);
    const sentence = this.find(".vs-card-message");
    sentence.textContent = message;
    this.find(".vs-card-hint").textContent = hint;
    const bar = this.find(".vs-card-progress");
    bar.hidden = !Number.isFinite(fraction);
    if (!bar.hidden) bar.value = fraction;
    this._buttons(actions);
    card.hidden = false;
    if (!seconds) {
      this.waited = 0;
      return;
    }
    // How long it has been going on: a number that moves says more than a spinner. Not read aloud.
    this.waited = this.waited || performance.now();
    const clock = document.createElement("span");
    clock.setAttribute("aria-hidden", "true");
    sentence.append(" ", clock);
    const tick = () => (clock.textContent = `${Math.round((performance.now() - this.waited) / 1000)} s`);
    tick();
    this.ticking = setInterval(tick, 1000);
  }

  _buttons(actions) {
    const row = this.find(".vs-card-actions");
    const old = [...row.children];
    if (old.map((button) => button.dataset.act).join() === actions.join()) return; // a focused one keeps its focus
    row.replaceChildren(
      ...actions.map((action, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.act = action;
        button.className = i ? "vs-quiet" : "vs-loud";
        button.textContent = ACTION_LABELS[action];
        button.addEventListener("click", () => this.act(action));
        return button;
      }),
    );
  }

  uncover() {
    clearInterval(this.ticking);
    this.waited = 0;
    this.find(".vs-card").hidden = true;
  }

  notice(message, action = "") {
    const line = this.find(".vs-notice");
    line.hidden = !message;
    line.querySelector("span").textContent = message;
    const button = line.querySelector("button");
    button.hidden = !action;
    button.textContent = action ? ACTION_LABELS[action] : "";
    button.onclick = () => this.act(action);
  }

  play(video, stream) {
    if (video.srcObject === stream) return; // told again for the stream's sound
    video.srcObject = stream;
    if (stream) video.play().catch(() => {}); // a newer stream took its place, or the page is in the background
  }

  showInput(camera) {
    this.play(this.inputVideo, camera);
    this.input.hidden = !camera;
  }

  mirror(isOn) {
    this.frame.classList.toggle("is-mirrored", isOn);
    this.find('[data-do="mirror"]').setAttribute("aria-pressed", String(isOn));
  }

  // Shows another stream; the old one's last picture stands until the first of the new one.
  change(stream) {
    if (this.painted.srcObject) this._keepStanding();
    this.play(this.painted, stream);
  }

  _keepStanding() {
    const width = Math.min(FREEZE_WIDTH_PX, this.painted.videoWidth);
    if (width) this.painted.poster = this._drawn(width, false).toDataURL("image/jpeg", 0.8);
  }

  // Leaves the last picture standing, dim, where the stream was.
  freeze() {
    this._keepStanding();
    this.play(this.painted, null);
    this.showInput(null);
  }

  _drawn(width, isMirrored) {
    const video = this.painted;
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = Math.round((width * video.videoHeight) / video.videoWidth);
    const pen = canvas.getContext("2d");
    if (isMirrored) pen.setTransform(-1, 0, 0, 1, width, 0);
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  // Downloads the picture as it is seen, at its own size.
  snapshot() {
    if (!this.painted.videoWidth) return;
    const canvas = this._drawn(this.painted.videoWidth, this.frame.classList.contains("is-mirrored"));
    canvas.toBlob((blob) => {
      const anchor = document.createElement("a");
      const when = new Date().toISOString().slice(0, 19).replaceAll(":", "").replace("T", "-");
      anchor.download = `vitascope-${when}.png`;
      anchor.href = URL.createObjectURL(blob);
      anchor.click();
      setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
    }, "image/png");
  }

  fullscreen() {
    const now = document.fullscreenElement || document.webkitFullscreenElement;
    if (now) (document.exitFullscreen || document.webkitExitFullscreen).call(document);
    else if (this.frame.requestFullscreen) this.frame.requestFullscreen().catch(() => {});
    else if (this.frame.webkitRequestFullscreen) this.frame.webkitRequestFullscreen();
    else if (this.painted.webkitEnterFullscreen) this.painted.webkitEnterFullscreen(); // iPhone: the video alone
  }
}
