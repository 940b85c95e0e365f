// What is said, while it is said: words that stand in ink, those that may still change in grey, finals in ink. The
// newest line is the last one. Words reach the page as text.
const LINES_SHOWN = 6;
const HEAR_HINTS = {
  webrtc: "Turn the microphone on, and what you say is written here.",
  pattern: "The pattern says nothing: use a camera with a microphone, a file or a stream.",
};

class Heard {
  constructor(root) {
    this.root = root.querySelector(".vs-heard");
    this.hint = this.root.querySelector(".vs-heard-hint");
    this.feed = this.root.querySelector("ol");
    this.files = this.root.querySelector(".vs-heard-files");
    this.line = null; // that of the utterance that goes on
    this.utterance = -1;
  }

  // A session begins: what was said in the one before makes room.
  begin(session, kind) {
    if (!HEARS) return;
    this.rest();
    this.feed.replaceChildren();
    this.files.hidden = true;
    for (const link of this.files.querySelectorAll("a")) {
      link.href = new URL(`sessions/${encodeURIComponent(session)}/captions.${link.dataset.kind}`, API);
      link.download = `captions.${link.dataset.kind}`;
    }
    this.hint.textContent = HEAR_HINTS[kind] || "";
    this.root.hidden = !this.hint.textContent;
  }

  // The microphone was turned on or off.
  listens(isOn) {
    if (!HEARS) return;
    this.hint.textContent = isOn ? "Listening." : HEAR_HINTS.webrtc;
  }

  show({ turn, utterance, text, tail }) {
    this.root.hidden = false;
    this.hint.textContent = "";
    if (!this.line || utterance !== this.utterance) this._open(utterance);
    const [stands, open] = this.line.children;
    stands.textContent = text;
    open.textContent = tail ? ` ${tail}` : "";
    this.line.hidden = !text && !tail;
    if (turn !== "end") return;
    this.line.classList.remove("is-open");
    if (!text) this.line.remove();
    else this.files.hidden = false;
    this.line = null;
  }

  _open(utterance) {
    this.rest();
    this.utterance = utterance;
    this.line = document.createElement("li");
    this.line.className = "is-open";
    this.line.append(document.createElement("span"), document.createElement("span"));
    this.feed.append(this.line);
    while (this.feed.children.length > LINES_SHOWN) this.feed.firstElementChild.remove();
  }

  // Nothing follows: a line without an end stays as it is, and the captions can still be fetched.
  rest() {
    if (this.line) this.line.classList.remove("is-open");
    this.line = null;
    this.hint.textContent = "";
  }
}
