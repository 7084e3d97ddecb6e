// The choice of a process, where the page is one of several: workers of a server, or other servers.

import { html, useEffect, useState } from "./htm-preact.js";

const PAUSE = 5000; // milliseconds until the list is read again

export function Processes({ pid }) {
  const [found, setFound] = useState([]);
  useEffect(() => {
    let isWanted = true;
    const read = () =>
      fetch("../processes")
        .then((response) => response.json())
        .then((processes) => isWanted && setFound(processes))
        .catch(() => {}); // the head of the page tells that the server does not answer
    read();
    const timer = setInterval(read, PAUSE);
    return () => { isWanted = false; clearInterval(timer); };
  }, [pid]);
  if (!found.some((process) => process.pid !== pid)) return "";
  const open = (event) => { location.href = `../${event.target.value}`; };
  return html`<label>Process <select onChange=${open}>
    ${!found.some((process) => process.pid === pid) && html`<option selected>${pid} (ended)</option>`}
    ${found.map((process) => html`<option value=${process.path} selected=${process.pid === pid}>${process.name} ${process.pid}</option>`)}
  </select></label>`;
}
