// When a tab rests: while nobody sees it, and on battery.

interface Battery extends EventTarget { charging: boolean; level: number }

/** watchPower calls fn with the reason to rest, '' for none, now and at each change. It returns what ends that. */
export function watchPower(fn: (why: string) => void): () => void {
  let battery: Battery | undefined, over = false;
  const look = (): void => { if (!over) fn(document.hidden ? 'hidden' : battery && !battery.charging ? 'battery' : ''); };
  document.addEventListener('visibilitychange', look);
  const ask = (navigator as { getBattery?: () => Promise<Battery> }).getBattery;
  void ask?.call(navigator).then((b) => {
    battery = b;
    b.addEventListener('chargingchange', look);
    look();
  }, () => undefined); // a browser that does not tell is taken to be plugged in
  look();
  return () => {
    over = true;
    document.removeEventListener('visibilitychange', look);
    battery?.removeEventListener('chargingchange', look);
  };
}
