// Pictures of a Wire, both ways. What comes in becomes a MediaStream, so that <video> shows it as any other.
const DECODER_CONFIG = { codec: "avc1.42e028", optimizeForLatency: true };
const JPEG_QUALITY = 0.7;
const RECONFIGURE_MS = 1000;
const RECONFIGURE_SHARE = 0.15; // a smaller change of the bit rate is not worth it
const ENCODER_MS = 150; // an encoder may leave a picture out to keep its bit rate: after this time it has

function encoderConfig(width, height, bitrate) {
  const codec = width * height <= 1280 * 720 ? "avc1.42e01f" : "avc1.42e032";
  return { codec, width, height, bitrate, framerate: 30, latencyMode: "realtime", avc: { format: "annexb" } };
}

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

// Gives each new picture of a track to `take` as something that can be drawn; who takes it closes it, if it can be.
class Frames {
  constructor(track, take) {
    this.isClosed = false;
    if (window.MediaStreamTrackProcessor) this._read(new MediaStreamTrackProcessor({ track, maxBufferSize: 1 }), take);
    else this._watch(track, take);
  }

  async _read(processor, take) {
    const reader = (this.reader = processor.readable.getReader());
    for (;;) {
      const { value, done } = await reader.read().catch(() => ({ done: true }));
      if (done) return;
      if (this.isClosed) value.close();
      else take(value);
    }
  }

  _watch(track, take) {
    const video = (this.video = document.createElement("video"));
    Object.assign(video, { muted: true, playsInline: true, srcObject: new MediaStream([track]) });
    video.play().catch(() => {});
    const next = video.requestVideoFrameCallback ? "requestVideoFrameCallback" : null;
    const again = (step) => (next ? video[next](step) : setTimeout(step, 33));
    const step = () => {
      if (this.isClosed) return;
      if (video.videoWidth) take(window.VideoFrame ? new VideoFrame(video, { timestamp: performance.now() * 1000 }) : video);
      again(step);
    };
    again(step);
  }

  close() {
    this.isClosed = true;
    if (this.reader) this.reader.cancel().catch(() => {});
    if (this.video) this.video.srcObject = null;
  }
}

// Sends the newest picture of a track whenever the pace has room. `before`: the one whose numbers it goes on with.
class PictureOut {
  constructor(track, codec, send, before) {
    this.codec = codec;
    this.send = send;
    this.pace = before ? before.pace : new Pace();
    this.seq = before ? before.seq : 0;
    this.wantsKey = true;
    this.waiting = null; // the newest picture, for which there was no room yet
    this.busySince = null; // when the picture in the encoder was put there
    this.config = null;
    this.configured = 0;
    this.frames = new Frames(track, (picture) => this._offer(picture));
  }

  acked(seq) {
    this.pace.acked(seq, performance.now());
    this._go();
  }

  close() {
    this.isClosed = true;
    this.frames.close();
    this._offer(null);
    if (this.encoder && this.encoder.state !== "closed") this.encoder.close();
  }

  _offer(picture) {
    if (this.waiting && this.waiting.close) this.waiting.close();
    this.waiting = picture;
    if (picture) this._go();
  }

  _go() {
    const now = performance.now();
    const isBusy = this.busySince !== null && now - this.busySince < ENCODER_MS;
    if (!this.waiting || isBusy || this.isClosed || !this.pace.hasRoom(now)) return;
    const picture = this.waiting;
    this.waiting = null;
    const width = picture.displayWidth || picture.videoWidth;
    const height = picture.displayHeight || picture.videoHeight;
    this.pace.resize(width * height);
    const size = [width, height].map((side) => Math.max(16, Math.round((side * this.pace.scale) / 2) * 2));
    this.busySince = now;
    if (this.codec === "h264") this._encode(picture, ...size);
    else this._draw(picture, ...size);
  }

  _encode(picture, width, height) {
    try {
      this._configure(width, height);
      this.encoder.encode(picture, { keyFrame: this.wantsKey });
      this.wantsKey = false;
    } catch (error) {
      this._broken(error);
    }
    picture.close();
  }

  _configure(width, height) {
    const now = performance.now();
    const { bitrate } = this.pace;
    const isNew = !this.config || this.config.width !== width || this.config.height !== height;
    const isOff = this.config && Math.abs(bitrate / this.config.bitrate - 1) > RECONFIGURE_SHARE;
    if (!this.encoder || this.encoder.state === "closed") {
      this.wantsKey = true;
      this.encoder = new VideoEncoder({
        output: (chunk) => this._made(chunk),
        error: (error) => this._broken(error),
      });
    } else if (!isNew && !(isOff && now - this.configured > RECONFIGURE_MS)) {
      return;
    }
    this.wantsKey = this.wantsKey || isNew;
    this.config = encoderConfig(width, height, bitrate);
    this.configured = now;
    this.encoder.configure(this.config);
  }

  _broken(error) {
    console.warn("A picture could not be encoded.", error);
    this.encoder = null;
    this.busySince = null;
  }

  _made(chunk) {
    const { width, height } = this.config;
    const isKey = chunk.type === "key";
    const message = packed({ ...this._head("h264", width, height), pts: chunk.timestamp, isKey, size: chunk.byteLength });
    chunk.copyTo(new Uint8Array(message, HEADER_BYTES));
    this._sent(message, isKey);
  }

  async _draw(picture, width, height) {
    const canvas = (this.canvas = this.canvas || document.createElement("canvas"));
    Object.assign(canvas, { width, height });
    canvas.getContext("2d", { alpha: false }).drawImage(picture, 0, 0, width, height);
    if (picture.close) picture.close();
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
    const bytes = blob ? new Uint8Array(await blob.arrayBuffer()) : null;
    if (!bytes || this.isClosed) return void (this.busySince = null);
    const size = bytes.byteLength;
    const message = packed({ ...this._head("jpeg", width, height), pts: performance.now() * 1000, isKey: true, size });
    new Uint8Array(message, HEADER_BYTES).set(bytes);
    this._sent(message, false);
  }

  _head(codec, width, height) {
    return { kind: KIND.picture, codec: CODEC[codec], seq: this.seq, width, height };
  }

  _sent(message, isKey) {
    this.busySince = null;
    if (this.isClosed) return;
    this.pace.sent(this.seq, message.byteLength, isKey, performance.now());
    this.seq += 1;
    this.send(message);
    this._go();
  }
}
