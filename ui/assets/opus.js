// Sound of a Wire, both ways, as Opus.
const SOUND_AHEAD_S = 0.06;

class SoundOut {
  constructor(track, send) {
    this.seq = 0;
    this.send = send;
    this.reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    this._read();
  }

  async _read() {
    for (;;) {
      const { value, done } = await this.reader.read().catch(() => ({ done: true }));
      if (done) return;
      if (!this.isClosed) this._encode(value);
      value.close();
    }
  }

  _encode(data) {
    if (!this.encoder) {
      this.encoder = new AudioEncoder({ output: (chunk) => this._made(chunk), error: () => this.close() });
      const { sampleRate, numberOfChannels } = data;
      this.encoder.configure({ codec: "opus", sampleRate, numberOfChannels, bitrate: 32000 });
    }
    if (this.encoder.state === "configured" && this.encoder.encodeQueueSize < 10) this.encoder.encode(data);
  }

  _made(chunk) {
    const head = { kind: KIND.sound, codec: CODEC.opus, seq: this.seq++, isKey: true };
    const message = packed({ ...head, pts: chunk.timestamp, size: chunk.byteLength });
    chunk.copyTo(new Uint8Array(message, HEADER_BYTES));
    this.send(message);
  }

  close() {
    this.isClosed = true;
    this.reader.cancel().catch(() => {});
    if (this.encoder && this.encoder.state !== "closed") this.encoder.close();
  }
}

// Adds a sound track to `stream` and plays packets into it, a little ahead of time against their unevenness.
class SoundIn {
  constructor(stream) {
    this.context = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
    this.target = this.context.createMediaStreamDestination();
    stream.addTrack(this.target.stream.getAudioTracks()[0]);
    this.due = 0;
    this.decoder = new AudioDecoder({ output: (data) => this._play(data), error: () => this.close() });
    this.decoder.configure({ codec: "opus", sampleRate: 48000, numberOfChannels: 1 });
  }

  take(packet) {
    if (this.decoder.state !== "configured") return;
    this.decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: packet.pts, data: packet.payload }));
  }

  _play(data) {
    const samples = new Float32Array(data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    const buffer = this.context.createBuffer(1, samples.length, data.sampleRate);
    data.close();
    buffer.copyToChannel(samples, 0);
    const now = this.context.currentTime;
    if (this.due < now || this.due > now + 5 * SOUND_AHEAD_S) this.due = now + SOUND_AHEAD_S;
    const player = this.context.createBufferSource();
    player.buffer = buffer;
    player.connect(this.target);
    player.start(this.due);
    this.due += buffer.duration;
  }

  close() {
    if (this.decoder.state !== "closed") this.decoder.close();
    this.context.close().catch(() => {});
  }
}
