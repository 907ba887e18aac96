// The order form: what so many cost, what stays of balance and cap, while somebody types. The server checks it all again.
'use strict';
(() => {
  const form = document.querySelector('form[data-order]');
  if (!form) return;
  const $ = (selector) => form.querySelector(selector);
  const cents = (text) => (text === '' || text === undefined ? null : Math.round(Number.parseFloat(text) * 100));
  const german = document.documentElement.lang === 'de', sign = (sum) => (sum < 0 ? '-' : '');
  const figure = (sum) => (Math.abs(sum) / 100).toLocaleString(german ? 'de-DE' : 'en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const dollars = (sum) => (german ? `${sign(sum)}${figure(sum)}\u00a0$` : `${sign(sum)}$${figure(sum)}`);
  const put = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
  let sent = false;

  function shortOf(total, balance, left, cap) {
    if (balance !== null && balance < total) return phrase('The balance of {balance} is not enough.', { balance: dollars(balance) });
    if (left !== null && left < total) return phrase('Only {left} of the cap is left today.', { left: dollars(left) });
    if (cap !== null && cap < total) return phrase('That is above the cap of {cap} for one purchase.', { cap: dollars(cap) });
    return '';
  }

  function paint() {
    const live = $('[data-panel]').dataset, price = cents(form.elements.price.value), button = $('[data-buy]');
    if (price === null) return;
    const typed = Number(form.elements.amount.value), most = Number(form.dataset.most);
    const amount = Number.isInteger(typed) && typed >= 1 && typed <= most ? typed : 0;
    const total = price * (amount || 1), balance = cents(live.balance), left = cents(live.capLeft);
    const short = amount ? shortOf(total, balance, left, cents(live.cap)) : phrase('Between 1 and {most} numbers can be ordered at once.', { most });
    put($('[data-sum-text]'), `${amount || 1} × ${dollars(price)}`);
    put($('[data-sum]'), dollars(total));
    for (const [name, sum] of [['balance', balance], ['left', left]]) {
      const element = sum === null ? null : $(`[data-${name}-after]`);
      put(element, dollars(sum - total));
      element?.classList.toggle('bad', sum < total);
    }
    put($('[data-short]'), short);
    const order = amount === 1 ? 'Order {amount} number · {total}' : amount ? 'Order {amount} numbers · {total}' : 'Order';
    put($('[data-buy-text]'), phrase(sent ? 'Ordering…' : order, { amount, total: dollars(total) }));
    // The price in the form is the one that was seen. Another one has to be taken by hand.
    const now = cents(live.price), moved = now !== null && now !== price;
    $('[data-moved]').hidden = !moved;
    if (moved) put($('[data-moved-price]'), dollars(now));
    button.disabled = sent || 'blocked' in live || moved || short !== '';
  }

  form.addEventListener('input', paint);
  form.addEventListener('submit', () => { sent = true; setTimeout(paint); });
  form.addEventListener('click', (event) => {
    if (!event.target.closest('[data-take-price]')) return;
    form.elements.price.value = $('[data-panel]').dataset.price;
    paint();
  });
  document.addEventListener('htmx:afterSwap', paint);
  // Back from the purchase: this form has been sent, the next order needs one of its own.
  window.addEventListener('pageshow', (event) => { if (event.persisted && sent) location.reload(); });
  paint();
})();
