// What a person is told when something does not work: what happened, what to do, and the buttons that do it.
// A telling is {message, hint, actions}; actions are names of ACTIONS in live.js, the first one is the plain advice.
class Trouble extends Error {
  constructor(message, hint = "", actions = ["retry"]) {
    super(message);
    this.hint = hint;
    this.actions = actions;
  }
}

class Gone extends Error {} // the person has stopped or gone on meanwhile: nothing to tell

function cameraTrouble(error) {
  const otherwise = ["retry", "pattern"];
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new Trouble(
        "The camera was not allowed.",
        "Allow it for this page (the sign beside the address), then try again.",
        otherwise,
      );
    case "NotFoundError":
    case "OverconstrainedError":
    case "DevicesNotFoundError":
      return new Trouble("No camera was found.", "Plug one in, then try again.", otherwise);
    case "NotReadableError":
    case "AbortError":
    case "TrackStartError":
      return new Trouble(
        "The camera could not be started.",
        "Another program may be using it: close that, then try again.",
        otherwise,
      );
    default:
      return new Trouble("The camera gave no picture.", error.message || error.name, otherwise);
  }
}

// Told below the picture, which goes on without it.
function microphoneTrouble(error) {
  if (["NotAllowedError", "SecurityError"].includes(error.name))
    return new Trouble("The microphone was not allowed.", "Allow it for this page (the sign beside the address).");
  if (["NotFoundError", "OverconstrainedError"].includes(error.name))
    return new Trouble("No microphone was found.", "Plug one in, then try again.");
  return new Trouble("The microphone could not be started.", error.message || error.name);
}

function insecureTrouble() {
  return new Trouble(
    "The browser gives its camera to secure pages only.",
    "Open this page over https, or on the server's own machine as http://localhost.",
    ["pattern", "file"],
  );
}

const unreachable = () =>
  new Trouble("The server cannot be reached.", "See that it still runs, then try again.", ["retry"]);

// body: what the server answered, {error: {message, hint, kind}}, or null when that was no JSON.
function answerTrouble(status, body, source) {
  const said = (body && body.error) || {};
  const isFile = source === "file";
  if (status === 503)
    return new Trouble(said.message || "The server is busy.", said.hint || "Try again in a minute.", ["retry"]);
  if (status === 413)
    return new Trouble(said.message || "The file is too large.", said.hint || "Choose a smaller one.", ["choose"]);
  return new Trouble(
    said.message || `The server refused (${status}).`,
    said.hint || "",
    isFile ? ["choose", "pattern"] : ["retry"],
  );
}

const lostTrouble = () =>
  new Trouble("The connection was lost.", "The server or the network is gone for now.", ["reconnect"]);

const notConnectedTrouble = () =>
  new Trouble(
    "No connection for pictures came about.",
    "A firewall between here and the server may hold back WebRTC (UDP).",
    ["retry"],
  );

const noWebRtcTrouble = () =>
  new Trouble("This browser has no WebRTC.", "Use a current Firefox, Chromium, Edge or Safari.", []);
