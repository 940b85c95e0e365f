// What moves, in words: the camera, and what is before it. A line that stays is not read aloud again.
const MOVES = {
  "false,false": "Nothing moves.",
  "true,false": "The camera moves.",
  "false,true": "Something moves.",
  "true,true": "The camera moves, and something before it.",
};

class Moving {
  constructor(root) {
    this.root = root.querySelector(".vs-seen");
    this.line = this.root.querySelector(".vs-moving");
  }

  show({ camera_moves, things_move, speed }) {
    this.root.hidden = false;
    const line = MOVES[`${Boolean(camera_moves)},${Boolean(things_move)}`];
    if (this.line.textContent !== line) this.line.textContent = line;
    if (Number.isFinite(speed)) this.line.title = `${speed.toFixed(2)} heights of the picture a second`;
  }

  clear() {
    this.line.textContent = "";
  }
}
