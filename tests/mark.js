// The browser's twin of realtime/sources/mark.py (the layout is described there).
// readMark(rgba, width, height): rgba as in ImageData.data; returns the number, or null when none can be trusted.
function readMark(rgba, width, height) {
  const side = Math.min(width, height), x0 = (width - side) >> 1, y0 = (height - side) >> 1;
  const cell = side / 12;
  if (side < 24) return null;
  const colours = [];
  for (let i = 0; i < 36; i++) {
    const top = y0 + cell * (9 + Math.floor(i / 12)), left = x0 + cell * (i % 12);
    const t = Math.floor(top + 0.25 * cell), l = Math.floor(left + 0.25 * cell);
    const b = Math.max(Math.floor(top + 0.75 * cell), t + 1), r = Math.max(Math.floor(left + 0.75 * cell), l + 1);
    const sum = [0, 0, 0];
    for (let y = t; y < b; y++)
      for (let x = l; x < r; x++)
        for (let c = 0; c < 3; c++) sum[c] += rgba[4 * (y * width + x) + c];
    colours.push(sum.map((s) => s / ((b - t) * (r - l))));
  }
  const white = [0, 1, 2].map((c) => (colours[0][c] + colours[3][c]) / 2);
  const black = [0, 1, 2].map((c) => (colours[1][c] + colours[2][c]) / 2);
  const axis = white.map((w, c) => w - black[c]);
  const length2 = axis.reduce((s, a) => s + a * a, 0);
  if (length2 < 24 * 24) return null;
  const bits = [];
  for (const colour of colours) {
    const level = colour.reduce((s, v, c) => s + (v - black[c]) * axis[c], 0) / length2;
    if (Math.abs(level - 0.5) < 0.1) return null;
    bits.push(level > 0.5 ? 1 : 0);
  }
  if (bits.slice(0, 4).join("") !== "1001") return null;
  const value = (from, count) => bits.slice(from, from + count).reduce((v, bit) => v * 2 + bit, 0);
  const number = value(4, 24);
  let crc = 0;
  for (const byte of [number >> 16, (number >> 8) & 255, number & 255]) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 128 ? ((crc << 1) ^ 7) & 255 : crc << 1;
  }
  return crc === value(28, 8) ? number : null;
}
if (typeof module !== "undefined") module.exports = { readMark };
