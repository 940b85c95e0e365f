// What is seen, in words: how many of what, and what happened, the newest first. Words reach the page as text.
const HAPPENED_SHOWN = 4;

class Seen {
  constructor(root) {
    this.root = root.querySelector(".vs-seen");
    this.now = this.root.querySelector("p");
    this.feed = this.root.querySelector("ol");
  }

  show({ things, detector }) {
    this.root.hidden = false;
    const counts = new Map();
    for (const { name } of things) counts.set(name, (counts.get(name) || 0) + 1);
    const words = [...counts].map(([name, count]) => (count > 1 ? `${name} \u00d7 ${count}` : name));
    const line = words.join(", ") || "nothing that it knows";
    if (this.now.textContent !== line) this.now.textContent = line; // a line that stays is not read aloud again
    this.now.title = `Seen by ${detector}`;
  }

  happened({ says, what }) {
    this.root.hidden = false;
    const line = document.createElement("li");
    const at = document.createElement("time");
    at.textContent = new Date().toLocaleTimeString();
    line.append(at, ` ${says || what}`);
    this.feed.prepend(line);
    while (this.feed.children.length > HAPPENED_SHOWN) this.feed.lastElementChild.remove();
  }

  clear() {
    this.root.hidden = true;
    this.now.textContent = "";
    this.feed.replaceChildren();
  }
}
