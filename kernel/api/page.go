package api

// The types below belong to the web page and to whoever uploads in parts.

// SignIn is a one-time link that opens the page.
type SignIn struct {
	URL     string `json:"url"`
	Expires int64  `json:"expires"` // Unix seconds
}

// TicketRequest asks for an address of bytes that an element of the page can
// load: a picture, a sound, a download.
type TicketRequest struct {
	Link    Link   `json:"link"`
	Path    string `json:"path,omitempty"`
	Tar     bool   `json:"tar,omitempty"`     // a folder, as a tar stream
	Preview bool   `json:"preview,omitempty"` // show it in place when its type is one that nothing runs in
}

// Ticket is the answer: a path on the page's own address, good for an hour in
// the browser that asked.
type Ticket struct {
	URL     string `json:"url"`
	Expires int64  `json:"expires"` // Unix seconds
}

// UploadRequest begins an upload that arrives in parts, or finds the one that
// was begun with the same id and is not finished.
type UploadRequest struct {
	ID     ID     `json:"id"` // the caller's choice, the same for the same content, so that it can be resumed
	Name   string `json:"name"`
	Folder bool   `json:"folder,omitempty"` // the parts make a tar stream
	Policy Policy `json:"policy"`
	Length uint64 `json:"length"`          // bytes of all parts together
	Size   uint64 `json:"size,omitempty"`  // plaintext bytes to come, for progress
	Files  uint64 `json:"files,omitempty"` // files to come, for progress
}

// Upload is how far an upload in parts has come.
type Upload struct {
	ID       ID       `json:"id"`
	Offset   uint64   `json:"offset"` // bytes taken; the next part begins here
	Length   uint64   `json:"length"`
	Progress Progress `json:"progress"`
}

// LogLine is one line of the node's own log.
type LogLine struct {
	Time    int64      `json:"time"`  // Unix milliseconds
	Level   string     `json:"level"` // DEBUG, INFO, WARN or ERROR
	Message string     `json:"message"`
	Fields  []LogField `json:"fields,omitempty"` // as they were written
}

// LogField is what a line tells beside its message.
type LogField struct {
	Key   string `json:"key"` // a group's name and a dot ahead of it, if it is in one
	Value string `json:"value"`
}
