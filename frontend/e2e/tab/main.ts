// What the tests of the tab's node drive: the node as every view uses it, and nothing else.
import { TabNode } from '../../src/tab/tab.ts';

declare global { interface Window { tab: TabNode } }

window.tab = new TabNode({ name: 'tab' });
window.tab.start();
