// One event stream for all open tabs of a browser.
// A SharedWorker runs this file; where there is none, live.js loads it into the page and calls openStream itself.
// HTTP/1.1 gives a browser six connections to a host: a stream for each tab would block the seventh.
'use strict';

function openStream(url, tell) {
  const CLOSELY = 120000; // ms after a loss in which a new try never waits longer than 4 s
  let source = null, timer = 0, tries = 0, lostAt = 0, state = 'connecting', since = Date.now(), seen = Date.now(), doubted = 0;

  function become(next) {
    if (next === state) return;
    state = next;
    since = Date.now();
    tell({ state, since });
  }

  function later() {
    if (!lostAt) lostAt = Date.now();
    const cap = Date.now() - lostAt < CLOSELY ? 4000 : 15000;
    const wait = Math.min(cap, 1000 * 1.7 ** tries++);
    clearTimeout(timer);
    timer = setTimeout(connect, wait * (0.6 + 0.4 * Math.random()));
    become(self.navigator.onLine === false ? 'offline' : 'reconnecting');
  }

  function close() {
    if (source) source.close();
    source = null;
    clearTimeout(timer);
  }

  function connect() {
    close();
    source = new EventSource(url);
    source.addEventListener('sync', (event) => {
      tries = lostAt = 0;
      become('live');
      tell({ sync: JSON.parse(event.data) });
    });
    source.addEventListener('nudge', (event) => tell({ nudge: JSON.parse(event.data) }));
    source.onerror = () => { close(); later(); };
  }

  // A sleeping machine runs no timers, and a stream that died meanwhile may never say so.
  const watch = setInterval(() => {
    const slept = Date.now() - seen > 8000;
    seen = Date.now();
    if (slept) connect();
  }, 2000);
  const offline = () => { close(); later(); };
  self.addEventListener('online', connect);
  self.addEventListener('offline', offline);
  connect();

  return {
    report: () => ({ state, since }),
    // Someone looks at the page: no reason to wait for the next try.
    wake() { if (state !== 'live' && Date.now() - since > 300) { tries = 0; connect(); } },
    // A request failed although we thought to be connected.
    doubt() {
      if (state !== 'live' || Date.now() - doubted < 10000) return;
      doubted = Date.now();
      close();
      later();
    },
    stop() {
      close();
      clearInterval(watch);
      self.removeEventListener('online', connect);
      self.removeEventListener('offline', offline);
    },
  };
}

if (self.SharedWorkerGlobalScope) {
  const ports = new Set();
  let stream = null;
  const heard = (port, message) => {
    if (message.bye) { ports.delete(port); return; }
    ports.add(port);
    if (message.hello) {
      // This page came when the stream was open: it has not heard what its opening said.
      if (stream) port.postMessage({ ...stream.report(), late: true });
      else stream = openStream(message.hello, (news) => ports.forEach((each) => each.postMessage(news)));
    }
    if (message.wake) stream?.wake();
    if (message.doubt) stream?.doubt();
  };
  self.onconnect = (event) => {
    const port = event.ports[0];
    port.onmessage = (sent) => heard(port, sent.data);
  };
}
