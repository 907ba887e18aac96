// One event stream for all open tabs of a browser, and one question about what arrived.
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

// A nudge only says that messages moved. What arrived is asked for here, once for all tabs, because timers of tabs in
// the background are slow; `tell` gets { rows, more, about, away }. Nothing is told of what was there before.
function openNews(tell) {
  const TOGETHER = 250, APART = 3000; // ms: arrivals of one moment make one question, and so far apart are two
  const AGAIN = 5000, TRIES = 12; // ms until a question that failed is asked again; after so many the next nudge asks
  const KNOWN = 500; // ids that are remembered: each answer reaches back a little
  const BACK = 2000; // ms after a loss: the provider may have to be read first, and two pieces of news would be one
  const LONG = 60000; // ms after which a stream that opens anew had been away, whether it noticed or not
  const NOT_YOURS = [401, 403, 404];
  let want = null, after = '', known = [], timer = 0, last = 0, tries = 0;
  let busy = false, again = false, opened = false, lost = false, away = false;

  function forget() { after = ''; known = []; away = false; }

  function soon(wait = TOGETHER + Math.random() * TOGETHER) {
    if (!after || want.about === 'none' || timer) return;
    if (busy) { again = true; return; }
    timer = setTimeout(ask, Math.max(wait, last + APART - Date.now()));
  }

  async function ask() {
    timer = 0;
    last = Date.now();
    busy = true;
    const asked = want, wasAway = away || lost;
    const answer = await question(asked).catch(() => 'failed');
    busy = false;
    if (asked.url !== want.url || answer === 'gone') forget();
    else if (answer === 'failed') { if (tries++ < TRIES) soon(AGAIN); return; }
    else {
      tries = 0;
      away = away && !wasAway;
      after = answer.after;
      // Chosen while we asked, it is newer than the answer.
      if (want === asked) want.about = answer.about;
      const rows = answer.rows.filter((row) => !known.includes(row.id));
      known = [...rows.map((row) => row.id), ...known].slice(0, KNOWN);
      if (rows.length) tell({ rows, more: answer.more, about: want.about, away: wasAway });
    }
    if (again) { again = false; soon(); }
  }

  // 'gone': signed out, or another person has signed in; nothing is told to these tabs then.
  async function question({ url, text }) {
    const stop = new AbortController(), limit = setTimeout(() => stop.abort(), 15000);
    try {
      const query = `${after && `&after=${after}`}${text ? '&text=1' : ''}`;
      const response = await fetch(url + query, { redirect: 'manual', cache: 'no-store', signal: stop.signal });
      if (response.type === 'opaqueredirect' || NOT_YOURS.includes(response.status)) return 'gone';
      return response.ok ? await response.json() : 'failed';
    } finally { clearTimeout(limit); }
  }

  return {
    // Of a page: where to ask, what its person wants to be told about, since when, whether texts are wanted on this
    // device, and from which version it was rendered.
    want(next) {
      const before = want;
      want = { ...next };
      if (before && (before.url !== next.url || (before.about === 'none' && next.about !== 'none'))) forget();
      after ||= next.after;
    },
    // Of the stream. It opens anew after a sleep, a loss or a restart: what came meanwhile is one piece of news.
    follow(message) {
      if (message.nudge?.t === 'sms') soon();
      if (message.state) lost ||= opened && message.state !== 'live';
      if (!message.sync) return;
      const nothing = !opened && message.sync.v && message.sync.v === want?.version;
      away ||= opened && (lost || Date.now() - last > LONG);
      opened = true;
      lost = false;
      if (!nothing) soon(away ? BACK : 0);
    },
    soon,
  };
}

// Which of the tabs speaks: the one that is looked at, else the one that was looked at last. One that does not take it
// (frozen, or gone without a word) is passed over.
function openTurns() {
  const TAKEN = 1500; // ms
  const seen = new Map(); // port -> when it was looked at last; Infinity: now
  let turn = 0;
  const taken = new Set();

  function pass(speak, id, left) {
    const port = left.shift();
    if (taken.delete(id) || !port) return;
    port.postMessage({ speak, turn: id });
    setTimeout(() => pass(speak, id, left), TAKEN);
  }

  return {
    looking(port, now) { seen.set(port, now ? Infinity : seen.get(port) === Infinity ? Date.now() : seen.get(port) || 0); },
    gone(port) { seen.delete(port); },
    took(id) { taken.add(id); },
    speak(arrived) { pass(arrived, ++turn, [...seen].sort((one, two) => two[1] - one[1] || 0).map(([port]) => port)); },
  };
}

if (self.SharedWorkerGlobalScope) {
  const ports = new Set(), turns = openTurns();
  const toAll = (message) => ports.forEach((port) => port.postMessage(message));
  const news = openNews((arrived) => { toAll({ arrived }); turns.speak(arrived); });
  let stream = null;
  const heard = (port, message) => {
    if (message.bye) { ports.delete(port); turns.gone(port); return; }
    ports.add(port);
    if (message.hello) {
      // This page came when the stream was open: it has not heard what its opening said.
      if (stream) port.postMessage({ ...stream.report(), late: true });
      else stream = openStream(message.hello, (told) => { toAll(told); news.follow(told); });
    }
    if (message.wake) stream?.wake();
    if (message.doubt) stream?.doubt();
    if (message.want) news.want(message.want);
    if ('looking' in message) turns.looking(port, message.looking);
    if (message.took) turns.took(message.took);
  };
  self.onconnect = (event) => {
    const port = event.ports[0];
    port.onmessage = (sent) => heard(port, sent.data);
  };
}
