package opfs

import (
	"context"
	"syscall/js"
	"testing"

	"inos/host/internal/promise"
	"inos/kernel/api"
)

// What the store could have been, for docs/rationale.md: a file for each block, and
// an index in IndexedDB.

// benchJS runs an asynchronous function body n times over, inside JavaScript.
func benchJS(b *testing.B, setup, body string) {
	run := js.Global().Call("eval", "(async (n) => { "+setup+"; const t = performance.now(); for (let i = 0; i < n; i++) { "+body+" } return performance.now() - t; })")
	ms, err := promise.Await(context.Background(), run.Invoke(b.N), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(ms.Float()*1e6/float64(b.N), "ns/op")
}

// Both write 1 MiB and flush it, to 256 places over and over.
const eachFolder = `const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('each', { create: true }), data = new Uint8Array(1 << 20)`

func BenchmarkFilePerBlock(b *testing.B) {
	b.SetBytes(api.ChunkSize)
	benchJS(b, eachFolder, `const name = 'f' + i % 256;
		if (i >= 256) await root.removeEntry(name);
		const h = await (await root.getFileHandle(name, { create: true })).createSyncAccessHandle(); h.write(data, { at: 0 }); h.flush(); h.close();`)
}

func BenchmarkOneFile(b *testing.B) {
	b.SetBytes(api.ChunkSize)
	benchJS(b, eachFolder+`, h = await (await root.getFileHandle('one', { create: true })).createSyncAccessHandle(); h.truncate(0)`,
		`h.write(data, { at: i % 256 * data.length }); h.flush(); if (i === n - 1) h.close();`)
}

func BenchmarkReadFilePerBlock(b *testing.B) {
	b.SetBytes(api.ChunkSize)
	benchJS(b, eachFolder+`;
		for (let i = 0; i < 64; i++) { const h = await (await root.getFileHandle('f' + i, { create: true })).createSyncAccessHandle(); h.write(data, { at: 0 }); h.close(); }`,
		`const h = await (await root.getFileHandle('f' + i % 64)).createSyncAccessHandle(); h.read(data, { at: 0 }); h.close();`)
}

func BenchmarkReadOneFile(b *testing.B) {
	b.SetBytes(api.ChunkSize)
	benchJS(b, eachFolder+`, h = await (await root.getFileHandle('one', { create: true })).createSyncAccessHandle(); for (let i = 0; i < 64; i++) h.write(data, { at: i * data.length })`,
		`h.read(data, { at: i % 64 * data.length }); if (i === n - 1) h.close();`)
}

const openDB = `const db = await new Promise((ok, no) => { const r = indexedDB.open('choice'); r.onupgradeneeded = () => r.result.createObjectStore('s'); r.onsuccess = () => ok(r.result); r.onerror = no; })`

func benchDB(b *testing.B, durability string) {
	benchJS(b, openDB, `await new Promise((ok, no) => { const t = db.transaction('s', 'readwrite', { durability: '`+durability+`' }); t.objectStore('s').put(new Uint8Array(100), i % 1000); t.oncomplete = ok; t.onerror = no; })`)
}

func BenchmarkIndexedDBStrict(b *testing.B)  { benchDB(b, "strict") }
func BenchmarkIndexedDBRelaxed(b *testing.B) { benchDB(b, "relaxed") }

func BenchmarkIndexedDBGet(b *testing.B) {
	benchJS(b, openDB, `await new Promise((ok, no) => { const r = db.transaction('s').objectStore('s').get(i % 1000); r.onsuccess = ok; r.onerror = no; })`)
}
