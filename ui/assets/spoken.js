// Steering by voice: a button (and a key) to hold while a command is said, what was understood, and the way back.
const HOLD = "Hold to say a command (V)";
const DOES = {
  start_recording: () => !tape && record(),
  stop_recording: () => tape && record(),
  stop: () => TOOLS.stop(),
};

class Spoken {
  // act: {talk(isHeld), undo(), follow(changes)}
  constructor(root, act) {
    this.root = root.querySelector(".vs-spoken");
    this.act = act;
    this.button = this.root.querySelector(".vs-talk");
    this.line = this.root.querySelector("p span");
    this.back = this.root.querySelector(".vs-undo");
    this.isHeld = false;
    this.button.title = HOLD;
    this.button.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      if (event.isTrusted) this.button.setPointerCapture(event.pointerId);
      this.hold(true);
    });
    for (const moment of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.button.addEventListener(moment, () => this.hold(false));
    }
    for (const moment of ["keydown", "keyup"]) {
      this.button.addEventListener(moment, (event) => {
        if (event.key !== " " && event.key !== "Enter") return;
        event.preventDefault();
        if (!event.repeat) this.hold(moment === "keydown");
      });
    }
    this.button.addEventListener("contextmenu", (event) => event.preventDefault());
    this.back.addEventListener("click", () => this.act.undo());
    window.addEventListener("blur", () => this.hold(false)); // a key that is let go elsewhere is never heard of
  }

  begin() {
    this.root.hidden = !VOICE;
    this.say("");
  }

  rest() {
    this.isHeld = false;
    this.button.setAttribute("aria-pressed", "false");
    this.root.hidden = true;
  }

  hold(isHeld) {
    if (this.isHeld === isHeld || this.root.hidden) return;
    this.isHeld = isHeld;
    this.button.setAttribute("aria-pressed", String(isHeld));
    if (isHeld) this.say("Listening.");
    else if (this.line.textContent === "Listening.") this.say("");
    this.act.talk(isHeld);
  }

  // Shows an event "command", does what only the page can, and lets the controls follow what was changed.
  show(event) {
    this.root.hidden = false;
    if (event.changes) this.act.follow(event.changes);
    this.say(this._words(event), Boolean(event.can_undo) && !event.refused);
    if (DOES[event.does]) DOES[event.does]();
  }

  say(words, canUndo = false) {
    this.line.textContent = words;
    this.back.hidden = !canUndo;
  }

  _words({ outcome, text, refused, undoes, changes }) {
    if (outcome === "listening") return "Listening.";
    if (outcome === "not_understood") return text ? `Not understood. The nearest is: ${text}.` : "Not understood.";
    if (refused) return `\u201c${text}\u201d: ${refused}`;
    if (undoes) return `Undone: ${undoes}.`;
    const what = Object.entries(changes || {}).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
    return what.length ? `\u201c${text}\u201d: ${what.join(", ")}` : `\u201c${text}\u201d`;
  }
}
