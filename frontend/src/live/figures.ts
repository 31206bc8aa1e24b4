// The figures of the live view: medians over what happened lately, so that one hiccup does not show as the rule.

const KEPT = 120; // samples of each kind

/** Series keeps the last samples of one kind. */
export class Series {
  private readonly kept: number[] = [];

  add(v: number): void {
    this.kept.push(v);
    if (this.kept.length > KEPT) this.kept.shift();
  }

  clear(): void { this.kept.length = 0; }

  /** median is undefined before the first sample. */
  median(): number | undefined { return [...this.kept].sort((a, b) => a - b)[this.kept.length >> 1]; }
}

/** Rate counts events a second over the last second or so. */
export class Rate {
  private at = 0;
  private count = 0;
  private last: number | undefined;

  add(n = 1): void { this.count += n; }

  /** value is the newest rate; it changes twice a second. */
  value(now: number): number | undefined {
    if (this.at === 0) this.at = now;
    if (now - this.at >= 500) {
      this.last = (this.count * 1000) / (now - this.at);
      [this.at, this.count] = [now, 0];
    }
    return this.last;
  }

  clear(): void { [this.at, this.count, this.last] = [0, 0, undefined]; }
}

/** Figures is what the view shows; undefined where there is nothing to tell yet. */
export interface Figures {
  frames: number | undefined; // a second
  frameMS: number | undefined; // of the page's thread, for one frame
  stepMS: number | undefined;
  steps: number | undefined; // a second
  signalUS: number | undefined; // from the worker's publication to the page's notice
  copied: number; // bytes a second between threads
}
