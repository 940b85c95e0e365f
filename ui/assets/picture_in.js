// Pictures that come over a Wire. They become a MediaStream, so that <video> shows them as any other.
const DECODER_CONFIG = { codec: "avc1.42e028", optimizeForLatency: true };

// Where decoded pictures go: a generator of a track where the browser has one, else a canvas whose stream is captured.
class Show {
  constructor() {
    if (window.MediaStreamTrackGenerator) {
      const track = new MediaStreamTrackGenerator({ kind: "video" });
      this.writer = track.writable.getWriter();
      this.stream = new MediaStream([track]);
    } else {
      this.canvas = document.createElement("canvas");
      this.pen = this.canvas.getContext("2d", { alpha: false });
      this.stream = this.canvas.captureStream();
    }
  }

  // Takes a VideoFrame or an ImageBitmap over, and closes it.
  draw(picture) {
    if (this.writer) {
      const frame = picture instanceof VideoFrame ? picture : new VideoFrame(picture, { timestamp: performance.now() * 1000 });
      if (frame !== picture) picture.close();
      if (this.writer.desiredSize > 0) this.writer.write(frame).catch(() => {});
      else frame.close();
      return;
    }
    const [width, height] = [picture.displayWidth || picture.width, picture.displayHeight || picture.height];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.pen.drawImage(picture, 0, 0);
    picture.close();
  }

  close() {
    if (this.writer) this.writer.close().catch(() => {});
    for (const track of this.stream.getTracks()) track.stop();
  }
}

class PictureIn {
  // on: {picture(stream), ack(seq), wantKey()}
  constructor(on) {
    this.on = on;
    this.show = new Show();
    this.stream = this.show.stream;
    this.codec = 0;
    this.isShown = false;
    this.isClosed = false;
    this.waitsForKey = true;
    this.numbers = new Map(); // the pictures in the decoder: pts to seq
  }

  take(packet) {
    this.codec = packet.codec;
    if (packet.codec === CODEC.jpeg) return this._takeJpeg(packet);
    if (this.waitsForKey && !packet.isKey) return this._skip(packet.seq);
    if (!this.decoder) this._open();
    this.waitsForKey = false;
    this.numbers.set(packet.pts, packet.seq);
    this.newest = packet.seq;
    try {
      this.decoder.decode(
        new EncodedVideoChunk({ type: packet.isKey ? "key" : "delta", timestamp: packet.pts, data: packet.payload }),
      );
    } catch (error) {
      this._fail(error);
    }
  }

  async _takeJpeg(packet) {
    const picture = await createImageBitmap(new Blob([packet.payload], { type: "image/jpeg" })).catch(() => null);
    if (!this.isClosed) this.on.ack(packet.seq);
    if (picture) this._draw(picture);
  }

  _skip(seq) {
    this.on.ack(seq);
    this.on.wantKey();
  }

  _open() {
    const decoder = new VideoDecoder({
      output: (frame) => {
        const seq = this.numbers.get(frame.timestamp);
        this.numbers.delete(frame.timestamp);
        if (!this.isClosed && seq !== undefined) this.on.ack(seq);
        this._draw(frame);
      },
      error: (error) => this.decoder === decoder && this._fail(error),
    });
    decoder.configure(DECODER_CONFIG);
    this.decoder = decoder;
  }

  _fail(error) {
    console.warn("A picture could not be decoded.", error);
    const old = this.decoder;
    this.decoder = null;
    if (old && old.state !== "closed") old.close();
    this.numbers.clear();
    this.waitsForKey = true;
    if (!this.isClosed) this._skip(this.newest);
  }

  _draw(picture) {
    if (this.isClosed) return picture.close();
    this.show.draw(picture);
    if (this.isShown) return;
    this.isShown = true;
    this.on.picture(this.stream);
  }

  close() {
    this.isClosed = true;
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.show.close();
  }
}
