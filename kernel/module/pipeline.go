package module

import (
	"context"
	"strconv"

	"inos/kernel/api"
)

// Step is one call of a pipeline.
type Step struct {
	Module Module
	Call   Call // its Input and Loan are not used
}

// maxSteps bounds a pipeline.
const maxSteps = 64

// Pipeline has modules work on one loan to write, one after the other: each gets
// what the one before left in it, and nothing is copied on the way. A module that
// answers with other bytes than a part of the loan that begins where the loan
// does ends the pipeline with Invalid, because its successor would not get them.
//
// It returns the last call's result, with Gas, RunUS and Moved of all; Loaned says
// how much of the loan the outcome fills. On an error what the loan holds is not
// defined. Errors are those of Call, and name the step.
func Pipeline(ctx context.Context, loan Loan, steps ...Step) (Result, error) {
	const op = "module.pipeline"
	if len(steps) == 0 || len(steps) > maxSteps || !loan.Write {
		return Result{}, api.Errorf(op, api.Invalid, "a pipeline has 1 to 64 steps and a loan to write")
	}
	var all Result
	for i, s := range steps {
		c := s.Call
		c.Input, c.Loan = nil, &loan
		res, err := s.Module.Call(ctx, c)
		res.Gas, res.RunUS, res.Moved = res.Gas+all.Gas, res.RunUS+all.RunUS, res.Moved+all.Moved
		if err != nil {
			return res, api.E(op+": step "+strconv.Itoa(i+1), api.KindOf(err), err)
		}
		if res.Loaned == nil || res.Loaned.Off != 0 || res.Loaned.Len == 0 {
			return res, api.Errorf(op, api.Invalid, "step "+strconv.Itoa(i+1)+" did not leave its output at the start of the loan; a pipeline's methods work in place")
		}
		loan.Len = res.Loaned.Len
		all = res
	}
	return all, nil
}
