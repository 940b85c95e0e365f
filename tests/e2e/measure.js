// Runs in the page: reads the number in each camera picture and in each painted one, and keeps how old the latter are.
(() => {
  const sent = new Map();
  const kept = (window.measured = { ages: [], numbers: [], unread: 0 });

  function watch(video, take) {
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const step = (now) => {
      const side = Math.min(video.videoWidth, video.videoHeight);
      if (side) {
        canvas.width = canvas.height = 240;
        const [x, y] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
        pen.drawImage(video, x, y, side, side, 0, 0, 240, 240);
        take(readMark(pen.getImageData(0, 0, 240, 240).data, 240, 240), now);
      }
      video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
  }

  watch(document.querySelector(".vs-input video"), (number, now) => number !== null && sent.set(number, now));
  watch(document.querySelector(".vs-painted"), (number, now) => {
    const age = now - (sent.get(number) ?? -Infinity); // the clip is a loop: much older is the round before
    if (number === null || age > 20000) return void kept.unread++;
    kept.numbers.push(number);
    kept.ages.push(age);
  });

  window.grab = (selector) => {
    const video = document.querySelector(selector);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    return canvas.toDataURL("image/png");
  };

  // Resolves to the milliseconds until the painted picture's upper half is bluer than red by `margin` levels.
  window.untilBlue = (margin) =>
    new Promise((resolve) => {
      const video = document.querySelector(".vs-painted");
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 16;
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      const began = performance.now();
      const step = () => {
        pen.drawImage(video, 0, 0, video.videoWidth, video.videoHeight / 2, 0, 0, 16, 16);
        const data = pen.getImageData(0, 0, 16, 16).data;
        let [red, blue] = [0, 0];
        for (let i = 0; i < data.length; i += 4) [red, blue] = [red + data[i] / 256, blue + data[i + 2] / 256];
        if (blue > red + margin) resolve(performance.now() - began);
        else video.requestVideoFrameCallback(step);
      };
      video.requestVideoFrameCallback(step);
    });
})();
