// Small pictures, as SVG.

import { html } from "./htm-preact.js";

export function Sparkline({ values, label }) {
  const width = 160;
  const height = 32;
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)},${(height - 2 - (value / most) * (height - 4)).toFixed(1)}`);
  return html`<svg class="spark" viewBox="0 0 ${width} ${height}" role="img" aria-label=${label}>
    <polyline points=${points.join(" ")} />
  </svg>`;
}

export function Histogram({ buckets, label }) {
  const most = Math.max(1, ...buckets);
  const width = Math.max(1, buckets.length);
  return html`<svg class="histogram" viewBox="0 0 ${width} 10" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${buckets.map((value, at) => html`<rect x=${at} width="0.9" y=${10 - (value / most) * 10} height=${(value / most) * 10} />`)}
  </svg>`;
}

export function Meter({ value, most, label }) {
  return html`<meter min="0" max=${Math.max(1, most)} high=${most * 0.8} value=${value} aria-label=${label}></meter>`;
}
