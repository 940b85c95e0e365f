// Have a camera painted and show it in a <video> of your own page:
//
//   import { paint } from "./client.js";
//   const session = await paint(document.querySelector("video"), { prompt: "ink drawing" }, console.log);
//   session.set({ strength: 0.5 });
//   session.close();
//
// The page must come from the server's own address, through a proxy that puts both under one name, say: browsers
// send cookies and read answers there only. docs/api.md lists the routes and the messages.
async function call(path, body) {
  const answer = await fetch(`/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${said.error.message} ${said.error.hint}`);
  return said;
}

export async function paint(video, settings = {}, hear = () => {}) {
  const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  let made = await call("sessions", { settings });
  while (made.ticket) {
    hear({ type: "queued", place: made.place, of: made.of }); // all places are taken: wait for one's turn
    await new Promise((resolve) => setTimeout(resolve, 1000 * made.retry_after_s));
    made = await call("sessions", { settings, ticket: made.ticket });
  }
  const pc = new RTCPeerConnection({ iceServers: made.ice_servers || [] });
  const control = pc.createDataChannel("control");
  control.onmessage = (event) => hear(JSON.parse(event.data));
  const send = (message) => control.readyState === "open" && control.send(JSON.stringify(message));
  const beat = setInterval(() => send({ type: "ping", sent_ms: performance.now() }), 1000);
  pc.ontrack = (event) => {
    video.srcObject = event.streams[0] || new MediaStream([event.track]);
    video.muted = true;
    video.play();
  };
  pc.addTransceiver(camera.getVideoTracks()[0], { direction: "sendrecv", streams: [camera] });
  await pc.setLocalDescription(await pc.createOffer());
  if (pc.iceGatheringState !== "complete")
    await new Promise((resolve) => {
      pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve();
    });
  const { type, sdp } = pc.localDescription;
  await pc.setRemoteDescription(await call(`sessions/${made.id}/offer`, { type, sdp }));
  const close = () => {
    clearInterval(beat);
    camera.getTracks().forEach((track) => track.stop());
    pc.close();
    navigator.sendBeacon(`/api/sessions/${made.id}/close`);
  };
  addEventListener("pagehide", close);
  return { id: made.id, set: (changes) => send({ type: "settings", settings: changes }), close };
}
