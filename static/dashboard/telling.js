// Tells that SMS came: by the title, the icon and the badge of the tab, by a sound, by a notification.
// live-worker.js says what arrived, and which tab speaks. What the person wants to be told about is kept by the server,
// how this device tells it (sound, notification, text) in the browser, apart for each person.
'use strict';
(() => {
  const script = document.currentScript, { user } = script.dataset;
  const KEY = `telling.${user}`, MOST_APART = 3, ME = Math.random().toString(36).slice(2);
  const $$ = (selector, from = document) => from.querySelectorAll(selector);
  const on = (name, act, target = document) => target.addEventListener(name, act);
  const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });
  const looking = () => !document.hidden && document.hasFocus();
  const say = (message) => document.dispatchEvent(new CustomEvent('live:say', { detail: message }));
  const toast = (text, level) => document.dispatchEvent(new CustomEvent('toast', { detail: { text, level } }));
  const counted = (rows, upTo) => `${rows.length}${upTo ? '+' : ''} SMS`;
  const came = (rows, upTo, away) => phrase(away ? '{count} came while you were away' : '{count} came', { count: counted(rows, upTo) });

  // --- what is kept in this browser

  function kept(name) { try { return JSON.parse(localStorage.getItem(`${KEY}.${name}`)) || {}; } catch { return {}; } }
  function keep(name, value) { try { localStorage.setItem(`${KEY}.${name}`, JSON.stringify(value)); } catch { /* not allowed here */ } }

  const { version } = script.dataset, url = `${script.dataset.news}?user=${user}`;
  // What the person wants to be told about, and since when: told by the server, and by the tab where it was chosen last.
  let choice = kept('device'), { about, after } = script.dataset;
  keep('about', { about, after });
  const want = () => say({ want: { url, about, after, version, text: Boolean(choice.notify && choice.text) } });
  function choose(changes) {
    choice = { ...choice, ...changes };
    keep('device', choice);
    want();
    paint();
  }
  function setAbout(next, since = after) {
    if (next === about) return;
    about = next;
    after = since;
    keep('about', { about, after });
    if (about === 'none') forget();
    want();
    paint();
  }

  // --- title, icon and badge: a number for what the person wants to be told about, a dot for everything else

  const icon = document.querySelector('link[rel="icon"]'), plain = icon?.href;
  const DOT = "%3Ccircle cx='13.5' cy='4.5' r='4.5' fill='%23e5383b'/%3E%3C/svg%3E";
  let count = 0, others = 0, more = false;

  function mark() {
    const prefix = count ? `(${count}${more ? '+' : ''}) ` : others ? '● ' : '';
    const title = prefix + document.title.replace(/^(\(\d+\+?\)|●) /, '');
    if (title !== document.title) document.title = title;
    if (icon) icon.href = prefix ? plain.replace(/%3C\/svg%3E$/, DOT) : plain;
    const badge = count ? navigator.setAppBadge?.(count) : others ? navigator.setAppBadge?.() : navigator.clearAppBadge?.();
    badge?.catch?.(() => {});
  }
  function forget() {
    if (!count && !others) return;
    count = others = 0;
    more = false;
    mark();
  }

  let shown = [];
  function look() {
    const now = looking();
    say({ looking: now });
    if (!now) return;
    forget();
    keep('looked', { at: Date.now() });
    for (const each of shown.splice(0)) each.close();
    if (silenced) { silenced = false; toast(phrase('SMS came, but {why}', { why: BLOCKED }), 'bad'); }
  }

  // --- sound: made here, so there is no file to wait for

  // Of each note: start in seconds, frequency in hertz, length, loudness.
  const SOUNDS = {
    chime: [[0, 784, 0.5, 0.5], [0.13, 1175, 0.8, 0.5]],
    knock: [[0, 196, 0.12, 1], [0.14, 165, 0.16, 1]],
    bell: [[0, 1319, 1.4, 0.4], [0, 2637, 0.9, 0.15], [0, 3951, 0.5, 0.08]],
  };
  const BLOCKED = phrase('this browser lets the page make no sound before you have clicked in it.');
  let audio = null, silenced = false;

  async function ready() {
    if (!window.AudioContext) return false;
    audio ||= new AudioContext();
    // Blocked, this may wait for ever.
    if (audio.state !== 'running') await Promise.race([audio.resume().catch(() => {}), wait(400)]);
    return audio.state === 'running';
  }
  // While it runs it may keep a laptop awake.
  const rest = () => { if (audio?.state === 'running') audio.suspend(); };
  let resting = 0;

  async function play(name) {
    if (!SOUNDS[name]) return true;
    clearTimeout(resting);
    if (!await ready()) return false;
    for (const [start, frequency, length, loudness] of SOUNDS[name]) {
      const tone = audio.createOscillator(), level = audio.createGain(), at = audio.currentTime + 0.03 + start;
      tone.frequency.value = frequency;
      level.gain.setValueAtTime(0, at);
      level.gain.linearRampToValueAtTime(0.35 * loudness, at + 0.008);
      level.gain.exponentialRampToValueAtTime(0.0001, at + length);
      tone.connect(level).connect(audio.destination);
      tone.start(at);
      tone.stop(at + length);
    }
    resting = setTimeout(rest, 2500);
    return true;
  }

  // Some browsers let a page sound later only if it began to within a click.
  function unlock() {
    if (!choice.sound || audio) return;
    ready().then(() => { resting = setTimeout(rest, 100); });
  }
  for (const name of ['pointerdown', 'keydown']) on(name, unlock);

  // --- notifications

  // Why this page can show none, in words; empty when it can. `state` says the rest.
  function obstacle() {
    if (!window.isSecureContext) {
      return phrase('Browsers show notifications only on pages with HTTPS, and on localhost. This page is on {origin}: ask your admin to put TLS in front of the dashboard (README, “Run it for a team”). Title and sound work without.', { origin: location.origin });
    }
    const apple = /iPhone|iPad/.test(navigator.userAgent), phone = apple || /Android/.test(navigator.userAgent);
    if (window.Notification && !phone) return '';
    return apple ? phrase('On iPhone and iPad only pages on the Home Screen may notify, and these only by a push service, which this dashboard does not use. Title and sound work without.')
      : phone ? phrase('Browsers on phones show no notifications of open pages. Title and sound work without.')
        : phrase('This browser has no notifications for pages. Title and sound work without.');
  }
  const STATES = {
    default: phrase('Your browser will ask whether this page may.'),
    granted: phrase('Your browser allows it.'),
    denied: phrase('Your browser blocks notifications of this page. To allow them: click the sign before the address, open the settings of the site, set notifications to “Allow”, then switch this on.'),
  };
  const mayNotify = () => !obstacle() && Notification.permission === 'granted';

  function notify(title, body, tag, url) {
    try {
      // Silent: whether there is a sound is chosen apart, and off by default.
      const note = new Notification(title, { body, tag: `sms-${tag}`, renotify: true, silent: true });
      note.onclick = () => { window.focus(); note.close(); location.assign(url); };
      shown.push(note);
    } catch { choose({ notify: false }); } // it says that it can, and cannot
  }

  function notifyOf(rows, upTo, away) {
    const groups = new Map();
    for (const row of rows) groups.set(row.url, [...(groups.get(row.url) || []), row]);
    if (groups.size > MOST_APART || (away && rows.length > 1)) {
      const numbers = [...groups.values()].map(([row]) => row.number), left = numbers.length - MOST_APART;
      const first = numbers.slice(0, MOST_APART).join(', ');
      notify(came(rows, upTo, away), phrase(left > 0 ? 'For {numbers} and {left} more' : 'For {numbers}', { numbers: first, left }), 'many', '/inbox/');
      return;
    }
    for (const [url, [row, ...earlier]] of groups) {
      const about = [row.service, row.account].filter(Boolean).join(' · ');
      // The server gives a text only to a device that asked for it.
      const text = choice.text && row.text ? `\n${row.sender ? `${row.sender}: ` : ''}${row.text}` : '';
      notify(`${earlier.length ? `${earlier.length + 1} ` : ''}${phrase('SMS for {number}', { number: row.number })}`, about + text, row.booking || row.number, url);
    }
  }

  // --- what arrived

  function arrived({ rows, more: upTo, about: current, away }) {
    setAbout(current);
    if (about === 'none') return;
    const wanted = wantedOf(rows), coded = rows.filter((row) => row.has_code).length;
    if (!looking()) {
      count += wanted.length;
      others += rows.length - wanted.length;
      more ||= upTo;
      mark();
    }
    // A page with a list tells of its own new rows.
    const region = document.getElementById('announce');
    if (!region || document.querySelector('[data-feed]')) return;
    const code = coded ? phrase(rows.length === 1 ? ', with a code' : ', {coded} with a code', { coded }) : '';
    region.textContent = (rows.length === 1 ? phrase('New SMS for {number}', { number: rows[0].number }) : came(rows, upTo, away)) + code;
  }
  const wantedOf = (rows) => (about === 'none' ? [] : about === 'all' ? rows : rows.filter((row) => row.mine));

  // Which of these no other tab has spoken of. Where no worker gives turns, tabs claim at the same time: each waits
  // whether another one came after it.
  async function claimed(rows, turn) {
    if (!turn) await wait(looking() ? 0 : 200 + Math.random() * 400);
    const told = kept('told').ids || [], fresh = rows.filter((row) => !told.includes(row.id));
    if (!fresh.length) return [];
    keep('told', { ids: [...fresh.map((row) => row.id), ...told].slice(0, 200), by: ME });
    if (turn) return fresh;
    await wait(80);
    return (kept('told').by || ME) === ME ? fresh : [];
  }

  async function speak({ rows, more: upTo, away }, turn) {
    if (turn) say({ took: turn });
    if (!choice.sound && !choice.notify) return;
    const wanted = await claimed(wantedOf(rows), turn);
    if (!wanted.length) return;
    if (choice.notify && mayNotify()) notifyOf(wanted, upTo, away);
    if (await play(choice.sound)) return;
    silenced = true;
    paint();
    look();
  }

  on('live:news', ({ detail }) => {
    if (detail.arrived) arrived(detail.arrived);
    if (detail.speak) speak(detail.speak, detail.turn);
  });
  on('live:open', () => { want(); look(); });
  on('visibilitychange', look);
  for (const name of ['focus', 'blur']) on(name, look, window);
  // Another tab of this person: it was looked at, or something was chosen in it.
  on('storage', (event) => {
    if (event.key === `${KEY}.looked`) forget();
    if (event.key === `${KEY}.device`) { choice = kept('device'); paint(); }
    if (event.key === `${KEY}.about`) { const { about: next, after: since } = kept('about'); setAbout(next, since); }
  }, window);
  on('pagehide', () => { for (const each of shown.splice(0)) each.close(); }, window);

  // --- the bell, and the choices

  const WORDS = { chime: phrase('a chime'), knock: phrase('a knock'), bell: phrase('a bell') };

  function words() {
    if (about === 'none') return phrase('You are told of nothing');
    const ways = [choice.sound && WORDS[choice.sound], choice.notify && mayNotify() && phrase('a notification')].filter(Boolean);
    const told = about === 'all' ? 'Told of all bookings by {ways}' : 'Told of your bookings by {ways}';
    return phrase(told, { ways: [phrase('the title'), ...ways].join(phrase(' and ')) });
  }

  function paintChoices(box) {
    const why = obstacle(), state = why || STATES[Notification.permission] || '';
    for (const input of $$('input[name="about"]', box)) input.checked = input.value === about;
    for (const input of $$('input[name="sound"]', box)) input.checked = input.value === (choice.sound || '');
    for (const part of $$('[data-device]', box)) part.hidden = false;
    const [notes, text, told, heard] = ['[data-notify]', '[data-text]', '[data-why]', '[data-heard]'].map((each) => box.querySelector(each));
    notes.checked = Boolean(choice.notify) && mayNotify();
    notes.disabled = Boolean(why);
    text.checked = notes.checked && Boolean(choice.text);
    text.disabled = !notes.checked;
    told.textContent = state;
    heard.hidden = !silenced;
  }

  function paint() {
    const speaks = about !== 'none' && Boolean(choice.sound || (choice.notify && mayNotify()));
    for (const bell of $$('[data-bell]')) {
      const use = bell.querySelector('use');
      use?.setAttribute('href', use.getAttribute('href').replace(/#.*/, about === 'none' ? '#bell-off' : speaks ? '#bell-ring' : '#bell'));
      bell.title = words();
      bell.classList.toggle('on', speaks);
      bell.setAttribute('aria-label', phrase('Notifications: {words}', { words: words() }));
    }
    for (const box of $$('[data-telling]')) paintChoices(box);
  }

  async function switchNotify(input) {
    if (!input.checked) { choose({ notify: false }); return; }
    // Asked within the click: browsers refuse it otherwise.
    const permission = Notification.permission === 'granted' ? 'granted' : await Notification.requestPermission();
    choose({ notify: permission === 'granted' });
  }

  async function sample() {
    silenced = !await play(choice.sound);
    if (silenced) toast(phrase('There was no sound: {why}', { why: BLOCKED }), 'bad');
    paint();
  }
  function tryOut() {
    sample();
    if (choice.notify && mayNotify()) notify(phrase('This is how an SMS is told'), phrase('SMS for {number}', { number: '+49 1523 4477190' }), 'try', location.href);
  }

  on('change', ({ target }) => {
    if (!target.closest('[data-telling]')) return;
    if (target.name === 'sound') { choose({ sound: target.value }); sample(); }
    else if (target.matches('[data-notify]')) switchNotify(target);
    else if (target.matches('[data-text]')) choose({ text: target.checked });
  });
  on('click', (event) => { if (event.target.closest('[data-telling] [data-try]')) tryOut(); });
  // Kept by the server: true here as soon as it is there.
  on('telling', ({ detail }) => setAbout(detail.about, detail.after));
  on('htmx:afterRequest', ({ detail }) => { if (!detail.successful && detail.elt.matches?.('form[data-about]')) paint(); });
  on('htmx:afterSettle', paint);
  window.Notification && navigator.permissions?.query?.({ name: 'notifications' }).then((status) => { status.onchange = paint; }, () => {});

  paint();
})();
