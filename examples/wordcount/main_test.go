package main

import "testing"

func TestCount(t *testing.T) {
	out, err := module.Run("text", "count", []byte(`{"top":2}`), []byte("The cat and the dog.\nA dog!"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"lines":2,"words":7,"bytes":27,"distinct":5,"top":[{"word":"dog","count":2},{"word":"the","count":2}]}` + "\n"
	if string(out) != want {
		t.Errorf("got %s", out)
	}
	if _, err := module.Run("text", "count", nil, []byte{0xff}); err == nil {
		t.Error("bytes that are no text are counted")
	}
}
