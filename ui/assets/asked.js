// Asking the stream: what was asked, answers as they grow, the moments they rest on as pictures to click, and wishes
// that are watched for. All words reach the page as text.
const TURNS_SHOWN = 40;
const PART_OF_DAY = [[86400, "d"], [3600, "h"], [60, "min"]];

// "2 min 10 s ago" of a number of seconds.
function ago(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  if (rest < 2) return "now";
  const parts = [];
  for (const [length, unit] of PART_OF_DAY) {
    if (rest >= length) parts.push(`${Math.floor(rest / length)} ${unit}`);
    rest %= length;
  }
  if (!parts.length || (parts.length === 1 && seconds < 3600 && rest)) parts.push(`${rest} s`);
  return `${parts.slice(0, 2).join(" ")} ago`;
}

class Asked {
  // act: ASKS
  constructor(root, act) {
    this.root = root.querySelector(".vs-asked");
    this.act = act;
    this.form = this.root.querySelector("form");
    this.field = this.form.querySelector("input");
    this.log = this.root.querySelector("ol");
    this.wishes = this.root.querySelector(".vs-wishes");
    this.large = this.root.querySelector("dialog");
    this.session = "";
    this.turns = new Map(); // replies and wishes on the page, by their id
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const words = this.field.value.trim();
      if (!words || !this.act.ask(words)) return;
      this.field.value = "";
    });
    this.root.querySelector(".vs-aloud").addEventListener("click", () => this.act.aloud());
    this.root.querySelector(".vs-forget").addEventListener("click", () => this.act.forget());
    this.large.addEventListener("click", () => this.large.close());
  }

  begin(session) {
    this.root.hidden = !ANSWERS;
    if (!ANSWERS) return;
    this.clear();
    this.session = session;
    this.root.querySelector(".vs-aloud").hidden = !HEARS;
  }

  // Nothing can be asked any more; what was answered can still be read.
  rest() {
    if (this.session) this.wishes.replaceChildren();
    this.session = "";
  }

  clear() {
    this.turns.clear();
    this.log.replaceChildren();
    this.wishes.replaceChildren();
  }

  show(event) {
    this.root.hidden = false;
    if (event.type === "wish") this._wish(event);
    else if (event.type === "alert") this._alert(event);
    else this._answer(event);
    this.log.scrollTop = this.log.scrollHeight;
  }

  _answer(event) {
    let turn = event.id ? this.turns.get(event.id) : null;
    if (!turn) {
      turn = this._turn(event.question);
      if (event.id) this.turns.set(event.id, turn);
    }
    const said = turn.querySelector(".vs-said");
    said.textContent = event.error ? `${event.error} ${event.hint || ""}`.trim() : event.cancelled ? "Taken back." : event.text;
    said.classList.toggle("is-open", !event.final);
    turn.classList.toggle("is-error", Boolean(event.error));
    turn.classList.toggle("is-unseen", event.observed === false);
    if (!event.final || event.error) return;
    const sure = event.confidence === undefined ? "" : `, ${Math.round(event.confidence * 100)} % sure`;
    said.title = event.engine ? `Answered by ${event.engine}${sure}` : "";
    this._moments(turn, event.moments || []);
  }

  _alert({ says, moment }) {
    const turn = this._turn("");
    turn.classList.add("is-alert");
    turn.querySelector(".vs-said").textContent = says;
    this._moments(turn, moment ? [moment] : []);
  }

  _wish({ id, says, on }) {
    const old = this.wishes.querySelector(`[data-id="${Number(id)}"]`);
    if (old) old.remove();
    if (!on) return;
    const wish = document.createElement("li");
    const back = document.createElement("button");
    wish.dataset.id = id;
    back.type = "button";
    back.textContent = "Stop";
    back.addEventListener("click", () => this.act.unwatch(id));
    wish.append(`${says} `, back);
    this.wishes.append(wish);
  }

  _turn(question) {
    const turn = document.createElement("li");
    if (question) turn.append(Object.assign(document.createElement("p"), { className: "vs-question", textContent: question }));
    turn.append(Object.assign(document.createElement("p"), { className: "vs-said" }));
    this.log.append(turn);
    while (this.log.children.length > TURNS_SHOWN) this.log.firstElementChild.remove();
    return turn;
  }

  _moments(turn, moments) {
    const strip = document.createElement("div");
    strip.className = "vs-moments";
    for (const { picture, ago_s, says } of moments) {
      if (picture === null || picture === undefined) continue;
      const words = `${says ? `${says}, ` : ""}${ago(ago_s)}`;
      const button = Object.assign(document.createElement("button"), { type: "button", title: words });
      const image = Object.assign(document.createElement("img"), { alt: words, loading: "lazy" });
      const source = new URL(`sessions/${encodeURIComponent(this.session)}/pictures/${Number(picture)}`, API);
      image.src = source;
      image.addEventListener("error", () => button.remove());
      button.append(image, Object.assign(document.createElement("small"), { textContent: ago(ago_s) }));
      button.addEventListener("click", () => this._enlarge(source, words));
      strip.append(button);
    }
    if (strip.children.length) turn.append(strip);
  }

  _enlarge(source, words) {
    const [image, line] = this.large.children;
    image.src = source;
    image.alt = line.textContent = words;
    this.large.showModal();
  }
}

// What the panel asks of the page.
const ASKS = {
  ask(question) {
    const isOn = Boolean(link) && page.state === "live";
    if (isOn) link.say({ type: "ask", question });
    else view.notice("Start first: there is nothing to ask about yet.");
    return isOn;
  },
  async aloud() {
    if (kind === "webrtc" && !sound.microphone) await microphone();
    if (link) link.say({ type: "ask-aloud" });
  },
  unwatch: (id) => link && link.say({ type: "unwatch", id }),
  async forget() {
    if (!page.session) return asked.clear();
    const path = new URL(`sessions/${encodeURIComponent(page.session)}/memory`, API);
    const answer = await fetch(path, { method: "DELETE" }).catch(() => null);
    if (!answer || !answer.ok) return view.notice("It could not be forgotten. Try again.");
    asked.clear();
    view.notice("All that was seen and heard is forgotten.");
  },
};
