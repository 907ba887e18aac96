// The order form: what so many cost, what stays of balance and cap, while somebody types. The server checks it all again.
'use strict';
(() => {
  const form = document.querySelector('form[data-order]');
  if (!form) return;
  const $ = (selector) => form.querySelector(selector);
  const cents = (text) => (text === '' || text === undefined ? null : Math.round(Number.parseFloat(text) * 100));
  const dollars = (sum) => (sum < 0 ? '-$' : '$') + (Math.abs(sum) / 100).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const put = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
  let sent = false;

  function shortOf(total, balance, left, cap) {
    if (balance !== null && balance < total) return `The balance of ${dollars(balance)} is not enough.`;
    if (left !== null && left < total) return `Only ${dollars(left)} of the cap is left today.`;
    if (cap !== null && cap < total) return `That is above the cap of ${dollars(cap)} for one purchase.`;
    return '';
  }

  function paint() {
    const live = $('[data-panel]').dataset, price = cents(form.elements.price.value), button = $('[data-buy]');
    if (price === null) return;
    const typed = Number(form.elements.amount.value), most = Number(form.dataset.most);
    const amount = Number.isInteger(typed) && typed >= 1 && typed <= most ? typed : 0;
    const total = price * (amount || 1), balance = cents(live.balance), left = cents(live.capLeft);
    const short = amount ? shortOf(total, balance, left, cents(live.cap)) : `Between 1 and ${most} numbers can be ordered at once.`;
    put($('[data-sum-text]'), `${amount || 1} × ${dollars(price)}`);
    put($('[data-sum]'), dollars(total));
    for (const [name, figure] of [['balance', balance], ['left', left]]) {
      const element = figure === null ? null : $(`[data-${name}-after]`);
      put(element, dollars(figure - total));
      element?.classList.toggle('bad', figure < total);
    }
    put($('[data-short]'), short);
    put($('[data-buy-text]'), sent ? 'Ordering…' : amount ? `Order ${amount} number${amount === 1 ? '' : 's'} · ${dollars(total)}` : 'Order');
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
