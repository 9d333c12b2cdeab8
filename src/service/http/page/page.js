"use strict";
// Brings the figures of the page up to date with those of each event. What an event brings is text, never markup.
(() => {
  const RETRY_MS = 10000;
  const { shape } = document.documentElement.dataset;
  const live = document.getElementById("live");

  const show = (id, value) => {
    const element = document.getElementById(id);
    if (!element) return;
    if (typeof value === "string") element.textContent = value;
    else if (Array.isArray(value)) [element.value, element.max] = value;
    else if ("d" in value) element.setAttribute("d", value.d);
    else {
      element.className = value.class;
      element.textContent = value.text;
    }
  };

  const say = (text, isLost) => {
    live.firstChild.data = text;
    live.classList.toggle("lost", isLost);
  };

  const listen = () => {
    const source = new EventSource("events");
    source.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      // Other keys, or something else that is being made.
      if (String(event.shape) !== shape) location.reload();
      for (const [id, value] of Object.entries(event.values)) show(id, value);
      say("Live; as of ", false);
    };
    source.onerror = () => {
      say("Not connected; as of ", true);
      // Without an answer the browser asks again by itself. A refusal it takes for an answer.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
    };
  };
  listen();
})();
