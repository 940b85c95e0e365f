// A place in the queue when all sessions are taken: the server says how far it has come, the page goes on by itself.
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// Resolves to the session that was made. `link` is told each place (link.on.queued) and asked whether it still wants.
async function takeSession(body, kind, link) {
  let said = await post("sessions", body, kind);
  while (said.ticket) {
    link.ticket = said.ticket;
    if (link.isClosed) {
      link._tellClosed();
      throw new Gone();
    }
    link.on.queued(said);
    if (!said.is_turn) {
      await pause(said.retry_after_s);
      if (link.isClosed) throw new Gone(); // the ticket was given back as it closed
      said = (await place(said.ticket)) || (await post("sessions", body, kind)); // void: to the end of the queue
    } else {
      said = await post("sessions", { ...body, ticket: said.ticket }, kind);
      if (said.ticket) await pause(said.retry_after_s);
    }
  }
  link.ticket = "";
  return said;
}

async function place(ticket) {
  let answer;
  try {
    answer = await fetch(new URL(`tickets/${encodeURIComponent(ticket)}`, API));
  } catch {
    throw unreachable();
  }
  const said = await answer.json().catch(() => null);
  if (answer.status === 404) return null;
  if (!answer.ok || !said) throw answerTrouble(answer.status, said);
  return said;
}
