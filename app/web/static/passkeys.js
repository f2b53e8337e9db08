// Passkeys: a button with data-passkey asks the browser for one and sends its answer with the form that it stands in.
// "get" fetches what is to be signed when it is pressed, "create" has it in data-options. Where the browser knows no
// passkeys the buttons stay hidden, and the form's other way is there.
(() => {
  "use strict";

  if (!window.PublicKeyCredential) {
    for (const words of document.querySelectorAll("[data-passkey-none]")) words.hidden = false;
    return;
  }

  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");
  const known = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

  const create = async (button) => {
    const options = JSON.parse(button.dataset.options);
    options.challenge = bytes(options.challenge);
    options.user.id = bytes(options.user.id);
    options.excludeCredentials = known(options.excludeCredentials);
    const made = await navigator.credentials.create({ publicKey: options });
    return {
      ...named(made),
      response: {
        clientDataJSON: text(made.response.clientDataJSON),
        attestationObject: text(made.response.attestationObject),
        transports: made.response.getTransports?.() ?? [],
      },
    };
  };

  const get = async (button) => {
    const answer = await fetch(button.dataset.options, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`options: ${answer.status}`);
    const options = await answer.json();
    options.challenge = bytes(options.challenge);
    options.allowCredentials = known(options.allowCredentials);
    const signed = await navigator.credentials.get({ publicKey: options });
    return {
      ...named(signed),
      response: {
        clientDataJSON: text(signed.response.clientDataJSON),
        authenticatorData: text(signed.response.authenticatorData),
        signature: text(signed.response.signature),
        userHandle: signed.response.userHandle ? text(signed.response.userHandle) : null,
      },
    };
  };

  const named = (credential) => ({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    clientExtensionResults: credential.getClientExtensionResults(),
  });

  const say = (button, words) => {
    const place = button.form.querySelector("[data-passkey-trouble]");
    place.hidden = !words;
    place.querySelector("span").textContent = words ?? "";
  };

  // What a browser says when it fails, as a person would: stopped or no passkey here, one too many, anything else.
  const words = (button, error) =>
    ({ NotAllowedError: button.dataset.stopped, InvalidStateError: button.dataset.present })[error.name] ||
    button.dataset.failed;

  const press = async (button) => {
    say(button, null);
    button.disabled = true;
    try {
      const answer = await (button.dataset.passkey === "create" ? create(button) : get(button));
      button.form.elements.passkey.value = JSON.stringify(answer);
      button.form.requestSubmit();
    } catch (error) {
      say(button, words(button, error));
    } finally {
      button.disabled = false;
    }
  };

  for (const button of document.querySelectorAll("button[data-passkey]")) {
    button.hidden = false;
    button.addEventListener("click", () => press(button));
  }
})();
