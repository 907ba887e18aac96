// Keeps the panels of a page current: a nudge says which topic moved, the panel asks for its own fragment.
// Each panel is an element [data-panel] with an id, data-topics and hx-trigger="nudge, …"; the server answers 204
// when nothing moved. A page is right again as soon as a stream is (re)opened or the page is looked at.
'use strict';
(() => {
  const script = document.currentScript;
  const STREAM = script.dataset.stream, WORKER = script.dataset.worker;
  const TOGETHER = 40; // ms: nudges of one change come together and make one request
  // ms between two requests of one panel: short for a single change, longer while changes pour in.
  const APART = 300, APART_MOST = 2000, QUIET = 5000;
  const STUCK = 2000; // ms after which a request is given up when the connection was replaced
  const RETRY = 3000; // ms between two tries while requests fail
  const SETTLE = 2500; // ms: the page has just been rendered, its first check may wait
  const UNSEEN = 30000; // ms between two questions of a hidden tab that has no stream
  const panels = new Map();

  // --- panels

  const stateOf = (id) => panels.get(id) || panels.set(id, { last: -QUIET, apart: APART, busy: 0, again: false, timer: 0 }).get(id);
  const all = () => document.querySelectorAll('[data-panel][id]');
  const resting = (panel) => document.hidden || panel.hasAttribute('data-hold');

  function nudge(panel) {
    const state = stateOf(panel.id);
    if (resting(panel)) return; // becoming visible asks again for everything
    if (state.busy) { state.again = true; return; }
    if (state.timer) return;
    const wait = state.last + state.apart - performance.now();
    state.timer = setTimeout(() => {
      const at = performance.now();
      state.apart = at - state.last > QUIET ? APART : Math.min(APART_MOST, state.apart * 1.5);
      state.timer = 0;
      state.last = at;
      const now = document.getElementById(panel.id);
      if (now && !resting(now)) htmx.trigger(now, 'nudge');
    }, Math.max(TOGETHER, wait));
  }

  function nudgeTopic(topic) {
    for (const panel of all()) if ((panel.dataset.topics || '').split(/\s+/).includes(topic)) nudge(panel);
  }

  function sync() {
    for (const panel of all()) {
      const state = stateOf(panel.id);
      // Sent into a connection that is gone, it may hang until its time-out.
      if (state.busy && performance.now() - state.busy > STUCK) htmx.trigger(panel, 'htmx:abort');
      nudge(panel);
    }
  }

  // An event names the element that it is told to, which need not be the one that asked: a swap is told to its target,
  // and the end of a request to a parent when the asker is gone.
  function own(event) {
    const asker = event.detail.requestConfig?.elt || event.detail.elt;
    return asker?.matches?.('[data-panel][id]') ? asker : null;
  }

  document.addEventListener('htmx:beforeRequest', (event) => {
    const panel = own(event);
    if (panel && resting(panel)) event.preventDefault();
  });
  document.addEventListener('htmx:beforeSend', (event) => {
    const panel = own(event);
    if (panel) stateOf(panel.id).busy = performance.now();
  });
  document.addEventListener('htmx:beforeSwap', (event) => {
    const panel = own(event); // a filter or a form may swap a panel as it likes
    // A filter was set while this answer was on its way: it is the answer to another question.
    if (panel && document.getElementById(panel.id)?.getAttribute('hx-get') !== event.detail.requestConfig.path) {
      event.detail.shouldSwap = false;
      stateOf(panel.id).again = true;
    }
  });
  document.addEventListener('htmx:afterRequest', (event) => {
    const panel = own(event);
    if (!panel) return;
    const state = stateOf(panel.id);
    state.busy = 0;
    if (state.again) { state.again = false; nudge(panel); }
  });

  // A request of this page that fails says more than a stream that seems to be open.
  let broken = 0;
  function failed() {
    send({ doubt: true });
    if (broken) return;
    broken = setInterval(() => { if (!document.hidden) sync(); }, RETRY);
    show(told);
  }
  for (const name of ['htmx:sendError', 'htmx:timeout']) document.addEventListener(name, failed);
  document.addEventListener('htmx:beforeOnLoad', () => {
    if (!broken) return;
    clearInterval(broken);
    broken = 0;
    show(told);
    sync();
  });

  // --- the mark in the header

  const WORDS = { connecting: '…', live: phrase('Live'), reconnecting: phrase('Reconnecting'), offline: phrase('Offline') };
  const TOLD = { live: phrase('This page is live again.'), reconnecting: phrase('Connection lost. Trying again.'), offline: phrase('You are offline.') };
  let told = { state: 'connecting', since: Date.now() }, shown = 'connecting';

  function show(news) {
    told = news;
    const mark = document.getElementById('live'), doubted = broken && news.state === 'live';
    if (!mark) return;
    const state = doubted ? 'reconnecting' : news.state, since = doubted ? Date.now() : news.since;
    mark.dataset.state = document.documentElement.dataset.live = state;
    mark.querySelector('span').textContent = WORDS[state];
    const at = new Date(since).toLocaleTimeString(document.documentElement.lang === 'de' ? 'de-DE' : 'en-GB');
    mark.title = state === 'live' ? phrase('Live: this page updates by itself (since {at})', { at })
      : phrase('{state} since {at}: this page asks again when the connection is back', { state: WORDS[state], at });
    if (state !== shown && shown !== 'connecting') document.getElementById('announce').textContent = TOLD[state] || '';
    shown = state;
  }

  // --- the stream

  let send = () => {}, settled = 0;
  // telling.js hears what arrived, and says what it wants, over the same line.
  const tellPage = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  document.addEventListener('live:say', (event) => send(event.detail));

  function hear(news) {
    if (news.state) show(news);
    if (news.nudge) nudgeTopic(news.nudge.t);
    if (news.arrived || news.speak) tellPage('live:news', news);
    if (!settled && news.sync?.v && news.sync.v === script.dataset.version) {
      settled = 1; // nothing has moved since the page was rendered
    } else if (!settled && (news.sync || (news.state === 'live' && news.late))) {
      settled = performance.now() + SETTLE;
      setTimeout(sync, SETTLE);
    } else if (news.sync && performance.now() > settled) sync();
  }

  function shared() {
    const port = new SharedWorker(WORKER, { name: 'live-' + script.dataset.user }).port;
    port.onmessage = (event) => hear(event.data);
    send = (message) => port.postMessage(message);
    const greet = () => { send({ hello: STREAM }); tellPage('live:open'); };
    greet();
    window.addEventListener('pagehide', () => send({ bye: true }));
    window.addEventListener('pageshow', (event) => { if (event.persisted) { greet(); sync(); } });
  }

  function alone() {
    const tag = document.createElement('script');
    let stream = null, news = null;
    const start = () => { stream ||= openStream(STREAM, (told) => { hear(told); news.follow(told); }); };
    const stop = () => { stream?.stop(); stream = null; };
    send = (message) => {
      if (message.wake) stream?.wake();
      if (message.doubt) stream?.doubt();
      if (message.want) news?.want(message.want);
    };
    tag.src = WORKER;
    tag.onload = () => {
      news = openNews((arrived) => hear({ arrived, speak: arrived }));
      tellPage('live:open');
      setInterval(() => { if (document.hidden) news.soon(); }, UNSEEN);
      if (!document.hidden) start();
      document.addEventListener('visibilitychange', () => (document.hidden ? stop() : start()));
    };
    document.head.append(tag);
  }

  function seen() {
    if (document.hidden) return;
    send({ wake: true });
    sync();
  }

  function begin() {
    if (!all().length && !document.getElementById('live')) return;
    try { window.SharedWorker ? shared() : alone(); } catch { alone(); }
    document.addEventListener('visibilitychange', seen);
    // The browser's word is not enough: a server on this machine answers without any network.
    for (const name of ['online', 'offline']) window.addEventListener(name, seen);
  }

  if (document.readyState === 'complete') begin();
  else window.addEventListener('load', begin);
})();
