// The inbox: further rows as one nears the end, a reading position that no arrival moves, and the way back to it.
// The panel #inbox-panel is live and holds the list down to where it was first cut; #inbox-more holds the rows below.
'use strict';
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const on = (name, act) => document.addEventListener(name, act);
  const panel = () => $('#inbox-panel'), more = () => $('#inbox-more');
  const AHEAD = '1200px'; // how far before the end the next rows are asked for
  const TOP = 160; // px: above this the page counts as being at its top, where rows slide in
  const MANY = 150; // rows that the live part may grow to before it is cut again

  // --- further rows

  const placeIn = (link) => new URLSearchParams(new URL(link.href).search).get('after');
  const lastLink = () => $('.pager a[rel=next]', more().children.length ? more() : panel());
  let end = ''; // the place of the last row below the live part
  const address = (places) => {
    const url = new URL(panel().getAttribute('hx-get'), location.href);
    for (const each of ['after', 'before', 'down', 'v']) url.searchParams.delete(each);
    for (const [each, place] of Object.entries(places)) url.searchParams.set(each, place);
    return url.pathname + url.search;
  };

  function reach(down) {
    const live = panel(), url = new URL(live.getAttribute('hx-get'), location.href);
    if ((url.searchParams.get('down') || '') === down) return;
    if (down) url.searchParams.set('down', down); else url.searchParams.delete('down');
    live.setAttribute('hx-get', url.pathname + url.search);
    htmx.process(live);
  }

  async function fragment(places) {
    const answer = await fetch(address(places), { headers: { 'HX-Request': 'true' }, credentials: 'same-origin' });
    if (!answer.ok) throw new Error(String(answer.status));
    return new DOMParser().parseFromString(await answer.text(), 'text/html');
  }

  function append(found) {
    for (const list of $$('.smslist', found)) {
      const head = list.previousElementSibling, last = $$('.day').at(-1);
      const rows = [...list.children].filter((row) => !document.getElementById(row.id));
      if (!rows.length) continue;
      if (last?.textContent !== head.textContent || !more().contains(last)) {
        if (last?.textContent !== head.textContent) more().append(head);
        more().append(list);
        list.replaceChildren();
      }
      $$('.smslist', more()).at(-1).append(...rows);
    }
    end = $('#inbox-panel', found).dataset.end || end; // an empty page has none
    $('.pager', more())?.remove();
    more().append($('.pager', found) || '');
  }

  let busy = null;
  async function grow() {
    const link = lastLink();
    if (busy || !link) return;
    const mine = busy = {};
    link.classList.add('htmx-request');
    try {
      const found = await fragment({ after: placeIn(link) });
      if (busy !== mine) return;
      const own = $('.pager a[rel=next]', panel());
      if (own) reach(placeIn(own));
      append(found);
    } catch { /* the link is there for a click */ }
    if (busy !== mine) return;
    busy = null;
    link.classList.remove('htmx-request');
    watch();
  }

  const observer = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) grow(); }, { rootMargin: AHEAD });
  function watch() {
    observer.disconnect();
    const link = lastLink();
    if (link) observer.observe(link);
  }

  function drop() {
    busy = null;
    end = '';
    more().replaceChildren();
  }

  async function reread() {
    const start = $('.pager a[rel=next]', panel());
    if (!end || !start) return;
    try {
      const found = await fragment({ after: placeIn(start), down: end });
      hold();
      more().replaceChildren();
      append(found);
      keep();
      watch();
    } catch { /* the next change tries again */ }
  }
  on('reread', reread);

  // --- no swap moves what is being read, nor the focus (Safari has no scroll anchoring: it is switched off here)

  let held = [], focused = null;
  const bar = () => $('.top')?.getBoundingClientRect().bottom || 0;
  const focusedRow = () => document.activeElement?.closest?.('[data-row]');
  // Rows and where they stand, that with the focus first: it is what is looked at.
  const inSight = () => [focusedRow(), ...$$('[data-row]')].filter(Boolean).map((row) => [row.id, row.getBoundingClientRect()])
    .filter(([, box]) => box.bottom > bar() && box.top < innerHeight).map(([id, box]) => [id, box.top]);

  function hold() {
    held = scrollY > TOP ? inSight() : [];
    const row = focusedRow();
    focused = row && { id: row.id, at: $$('[data-row]').indexOf(row), what: ['data-open', 'data-code', 'data-mark'].find((name) => document.activeElement.hasAttribute(name)) };
  }
  function putBack(places) {
    const kept = places.find(([id]) => document.getElementById(id));
    if (kept) scrollBy({ top: document.getElementById(kept[0]).getBoundingClientRect().top - kept[1], behavior: 'instant' });
    return Boolean(kept);
  }
  function keep() {
    putBack(held);
    held = [];
    if (!focused || document.activeElement !== document.body) return;
    const rows = $$('[data-row]'), row = document.getElementById(focused.id) || rows[Math.min(focused.at, rows.length - 1)];
    (row && ($(`[${focused.what || 'data-open'}]`, row) || $('[data-open]', row)))?.focus({ preventScroll: true });
  }
  on('htmx:beforeSwap', hold);
  on('htmx:afterSwap', (event) => {
    const asker = event.detail.requestConfig?.elt;
    // Another list than before, or more came at once than the live part holds.
    if (asker?.matches?.('form[data-filter]') || (asker?.id === 'inbox-panel' && !panel().hasAttribute('data-down'))) drop();
    keep();
    watch();
  });
  on('scroll', () => {
    if (scrollY < TOP && $$('[data-row]', panel()).length > MANY) { drop(); reach(''); watch(); }
  });

  // --- back to the same place: rows by their ids and places in the list, never what they say

  const name = () => `place ${location.pathname}${location.search}`;
  window.addEventListener('pagehide', () => {
    const focus = focusedRow()?.id;
    try { sessionStorage.setItem(name(), JSON.stringify({ y: scrollY, rows: inSight(), focus, down: end })); } catch { /* then it starts at the top */ }
  });

  async function comeBack() {
    const how = performance.getEntriesByType('navigation')[0]?.type;
    let place = null;
    try { place = JSON.parse(sessionStorage.getItem(name())); } catch { /* no place */ }
    if (!place || !['back_forward', 'reload'].includes(how)) return;
    const own = $('.pager a[rel=next]', panel());
    if (place.down && own) {
      try {
        const found = await fragment({ after: placeIn(own), down: place.down });
        reach(placeIn(own));
        append(found);
      } catch { /* as far as the first rows go */ }
    }
    if (!putBack(place.y > TOP ? place.rows : [])) scrollTo({ top: place.y, behavior: 'instant' });
    if (place.focus) $(`#${CSS.escape(place.focus)} [data-open]`)?.focus({ preventScroll: true });
  }

  history.scrollRestoration = 'manual';
  comeBack().finally(watch);
})();
