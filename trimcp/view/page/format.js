// Numbers and times, as people read them.

export function seconds(value) {
  if (value < 1) return `${Math.max(0, value * 1000).toFixed(0)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  const minutes = Math.floor(value / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(value % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 1) return `${value.toFixed(2)} ms`;
  return value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : seconds(value / 1000);
}

export function bytes(value) {
  if (value < 1024) return `${value} B`;
  const units = ["KiB", "MiB", "GiB"];
  let at = -1;
  do {
    value /= 1024;
    at += 1;
  } while (value >= 1024 && at < units.length - 1);
  return `${value.toFixed(1)} ${units[at]}`;
}

export const count = (value) => value.toLocaleString("en");
