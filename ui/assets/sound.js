// The microphone and the loudspeaker: both off until the person turns them on, and shown as they are.
const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

async function openMicrophone() {
  if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) throw insecureTrouble();
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE, video: false });
  } catch (error) {
    throw microphoneTrouble(error);
  }
}

class Sound {
  constructor(view) {
    this.view = view;
    this.microphone = null;
    this.isLoud = false;
  }

  // Shows the switches that are of use with a source: what the pattern says, nobody can hear.
  offer(kind) {
    this.view.find('[data-do="microphone"]').hidden = kind !== "webrtc";
    this.view.find('[data-do="speaker"]').hidden = kind === "pattern";
  }

  // Asks for the microphone and sends it over `link`, or lets go of it.
  async turnMicrophone(link, isStill) {
    if (this.microphone) return this.letGo(link);
    const opened = await openMicrophone();
    if (!isStill()) return opened.getTracks().forEach((track) => track.stop());
    this.microphone = opened;
    const [track] = opened.getAudioTracks();
    track.addEventListener("ended", () => this.microphone === opened && this.letGo(link));
    await link.speak(track);
    this._press("microphone", true);
  }

  letGo(link) {
    if (this.microphone) this.microphone.getTracks().forEach((track) => track.stop());
    this.microphone = null;
    if (link) link.speak(null);
    this._press("microphone", false);
  }

  turnSpeaker(link) {
    this.isLoud = !this.isLoud;
    this.view.painted.muted = !this.isLoud;
    if (this.isLoud) this.view.painted.play().catch(() => {}); // the browser may have paused what it could not play
    if (link) link.say({ type: "settings", settings: { sound: this.isLoud } });
    this._press("speaker", this.isLoud);
  }

  _press(name, isOn) {
    const button = this.view.find(`[data-do="${name}"]`);
    button.setAttribute("aria-pressed", String(isOn));
    button.title = `${button.getAttribute("aria-label")}: ${isOn ? "on" : "off"}`;
  }
}
