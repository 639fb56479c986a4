// Start: draw what is near, follow the reader, and keep one choice of member and day across sections.

function together(one, other) {
  const [a, b] = [byId(one), byId(other)];
  const follow = (from, to) => from.addEventListener("change", () => {
    if (to.value === from.value || ![...to.options].some((option) => option.value === from.value)) return;
    to.value = from.value;
    to.dispatchEvent(new Event("change"));
  });
  follow(a, b);
  follow(b, a);
}

together("delivery-member", "bill-member");
if (week.days.length && week.members.length) {
  watch();
} else {
  for (const id of drawings.keys()) fill(id, element("p", "Nothing to draw yet.", { class: "lead" }));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
phone.addEventListener("change", () => drawAll());
addEventListener("beforeprint", () => drawAll(true));

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.getAttribute("href").slice(1), link]));
const reader = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = links.get(entry.target.id), row = link.parentElement;
    link.setAttribute("aria-current", "true");
    row.scrollTo({ left: link.offsetLeft - row.offsetLeft - (row.clientWidth - link.offsetWidth) / 2 });
  }
}, { rootMargin: "-20% 0px -70% 0px" });
document.querySelectorAll("main section").forEach((section) => reader.observe(section));
