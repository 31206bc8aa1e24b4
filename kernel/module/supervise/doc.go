// Package supervise decides, for every module of a node, whether a call may run
// now: a pure state machine that takes the time, an event and a random number,
// and returns effects. It runs nothing; the node does and tells what came of it.
//
// A crash is the module's own defect: an instance that could not be started, or
// a guest that trapped. An error that the guest reports, gas used up, a deadline
// and a canceled call are no crashes.
//
// Who is to blame decides who is kept away. A failure to start does not depend
// on a call, so it counts against the module: every restart waits longer than the
// last, and a crash loop ends in quarantine for everybody. A trap may be the doing
// of whoever chose the input, so it counts against that payer first: one that
// makes the module trap again and again waits, then is kept out alone. Only traps
// of several payers over several inputs, without one success between them,
// quarantine the module for all.
//
// A resident runs as one call that does not end by itself. A run that fails is
// a failure to start, since no payer chose what it works on: the next run waits,
// and a crash loop ends in quarantine. Lasted forgives what came before.
//
// Invariants:
//   - One payer alone never changes what other payers get.
//   - A success by anybody clears what traps have counted against the module.
//   - Quarantine ends by Reset only. It names its reason and when it began.
//   - Failures of calls that began together count as one restart.
//   - At most Config.Modules supervisors, Config.Payers payers in each, and
//     Config.CrashInputs inputs; a supervisor with calls is never dropped.
//   - Equal events at equal times with equal random numbers give equal effects.
//
// docs/modules.md tells the policy to people, docs/threat-model.md the abuse.
package supervise
