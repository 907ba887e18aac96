// Second factors: the code form that sends itself, security keys, printing the recovery codes.
(() => {
  'use strict';
  // Some of its pages are without app.js.
  const words = JSON.parse(document.getElementById('words')?.textContent || '{}');
  const phrase = (text) => words[text] || text;
  const on = (element, name, act) => element.addEventListener(name, act);

  // --- six digits are a whole code
  for (const form of document.querySelectorAll('[data-code-form]')) {
    const field = form.elements.code;
    let sent = false;
    on(form, 'submit', (event) => { if (sent) event.preventDefault(); sent = true; });
    on(field, 'input', () => { if (/^\d{6}$/.test(field.value.replace(/[\s-]/g, '')) && !sent) form.requestSubmit(); });
  }
  // Back to a page that was left by sending: it may be sent again.
  on(window, 'pageshow', (event) => { if (event.persisted) location.reload(); });

  // --- security keys: bytes travel as base64url
  const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (each) => each.charCodeAt(0));
  const toText = (buffer) => buffer && btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const named = (list) => (list || []).map((each) => ({ ...each, id: toBytes(each.id) }));

  async function make(options) {
    const { user, challenge, excludeCredentials } = options;
    const key = await navigator.credentials.create({ publicKey: {
      ...options, challenge: toBytes(challenge), user: { ...user, id: toBytes(user.id) }, excludeCredentials: named(excludeCredentials),
    } });
    const { response } = key;
    return { ...about(key), response: {
      clientDataJSON: toText(response.clientDataJSON), attestationObject: toText(response.attestationObject),
      transports: response.getTransports?.() || [],
    } };
  }

  async function prove(options) {
    const key = await navigator.credentials.get({ publicKey: {
      ...options, challenge: toBytes(options.challenge), allowCredentials: named(options.allowCredentials),
    } });
    const { response } = key;
    return { ...about(key), response: {
      clientDataJSON: toText(response.clientDataJSON), authenticatorData: toText(response.authenticatorData),
      signature: toText(response.signature), userHandle: toText(response.userHandle) || null,
    } };
  }

  const about = (key) => ({
    id: key.id, rawId: toText(key.rawId), type: key.type,
    authenticatorAttachment: key.authenticatorAttachment || null, clientExtensionResults: key.getClientExtensionResults(),
  });

  const WHY = {
    NotAllowedError: phrase('The browser was given no key. Try again, and touch the key when it blinks.'),
    InvalidStateError: phrase('This key is added already.'),
    SecurityError: phrase('Security keys need an address with a name, by https. Ask your admin, or use an authenticator app.'),
  };

  for (const form of document.querySelectorAll('[data-key-form]')) {
    const error = form.querySelector('[data-key-error]'), button = form.querySelector('[type="submit"]');
    const say = (text) => { error.textContent = text; error.hidden = !text; };
    if (!window.PublicKeyCredential) {
      button.disabled = true;
      say(window.isSecureContext ? phrase('This browser knows no security keys.') : WHY.SecurityError);
      continue;
    }
    on(form, 'submit', async (event) => {
      if (form.elements.credential.value) return;
      event.preventDefault();
      say('');
      button.disabled = true;
      try {
        const request = JSON.parse(document.getElementById(form.dataset.keyRequest).textContent);
        const key = form.dataset.keyForm === 'create' ? await make(request.creation_options.publicKey) : await prove(request.request_options.publicKey);
        form.elements.credential.value = JSON.stringify(key);
        form.submit();
      } catch (problem) {
        say(WHY[problem.name] || phrase('The security key could not be used.'));
        button.disabled = false;
      }
    });
  }

  for (const button of document.querySelectorAll('[data-print]')) {
    button.hidden = false;
    on(button, 'click', () => print());
  }
})();
