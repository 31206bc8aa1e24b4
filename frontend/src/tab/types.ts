// What the tab's kernel says of itself: State and Settings of server/tab.

/** TabSettings are what others may use of this tab. */
export interface TabSettings {
  contribute: boolean; // run jobs of others at all
  workers: number;     // at most so many at once; 0 means as many as cpu_cap allows
  cpu_cap: number;     // percent of the machine’s cores that they may keep busy; 0 means 50
  yield: string;       // why it rests now: "hidden", "battery"; empty when it does not
}

/** TabState is what the node does now. */
export interface TabState {
  phase: 'off' | 'starting' | 'unjoined' | 'running' | 'failed' | 'stopped';
  reason?: string;
  kind?: string;
  node: string;
  name: string;
  mesh: string;
  volatile?: string;
  shared: boolean;
  workers: number;
  offered: number;
  settings: TabSettings;
  /** elsewhere says that another tab of this browser runs the node, and this one uses it there. */
  elsewhere: boolean;
}

/** resting is the settings of a tab that contributes nothing. */
export const resting: TabSettings = { contribute: false, workers: 0, cpu_cap: 50, yield: '' };
