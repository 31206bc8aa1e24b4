package guest

import (
	"fmt"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/module/meter"
)

// Imports are the types of the functions of the module "inos" that guests import,
// in the letters of meter.Info.
var Imports = map[string]string{"log": "iii:", "syscall": "ii:I", "epoch_wait": "iii:i"}

// WASI are the types of the functions of WASI preview 1 that a guest is served.
// Others, of any type, return ENOSYS.
var WASI = map[string]string{
	"args_get": "ii:i", "args_sizes_get": "ii:i", "environ_get": "ii:i", "environ_sizes_get": "ii:i",
	"clock_res_get": "ii:i", "clock_time_get": "iIi:i", "fd_close": "i:i", "fd_fdstat_get": "ii:i",
	"fd_fdstat_set_flags": "ii:i", "fd_read": "iiii:i", "fd_seek": "iIii:i", "fd_write": "iiii:i",
	"fd_prestat_get": "ii:i", "fd_prestat_dir_name": "iii:i", "poll_oneoff": "iiii:i", "random_get": "ii:i",
	"sched_yield": ":i", "proc_exit": "i:",
}

// exports are the types of the functions that the ABI fixes.
var exports = map[string]string{
	"inos_abi": ":i", "inos_alloc": "i:i", "inos_call": "ii:I", "inos_window": "i:i", "_initialize": ":",
}

// CheckImport refuses an import that no host function serves.
func CheckImport(mod, name, typ string) error {
	const op = "wasm.load"
	switch want, ok := WASI[name]; {
	case mod == module.WASI && ok && typ != want:
		return api.Errorf(op, api.Invalid, "the module imports "+module.WASI+"."+name+" with another type than WASI preview 1 gives it")
	case mod == module.WASI:
		return nil
	}
	if want, ok := Imports[name]; mod != "inos" || !ok || typ != want {
		return api.Errorf(op, api.Invalid, "the module imports "+mod+"."+name+" with other parameters than docs/abi.md says")
	}
	return nil
}

// CheckExport refuses an export of another type than the ABI fixes.
func CheckExport(name, typ string) error {
	if want, ok := exports[name]; ok && typ != want {
		return api.Errorf("wasm.load", api.Invalid, "the module exports "+name+" with other parameters or results than docs/abi.md says")
	}
	return nil
}

// CheckLinks is CheckImport and CheckExport for all of a module, and refuses a
// function that is imported twice with different types, which no host function
// can be.
func CheckLinks(info meter.Info) error {
	seen := map[[2]string]string{}
	for _, i := range info.Imports {
		at := [2]string{i.Module, i.Name}
		if was, ok := seen[at]; i.Kind == bin.KindFunc && ok && was != i.Type {
			return ImportedTwice(i.Module, i.Name)
		}
		seen[at] = i.Type
		if err := CheckImport(i.Module, i.Name, i.Type); err != nil {
			return err
		}
	}
	for name, typ := range info.Types {
		if err := CheckExport(name, typ); err != nil {
			return err
		}
	}
	return nil
}

// ImportedTwice is the error for a function that is imported with two types.
func ImportedTwice(mod, name string) error {
	return api.Errorf("wasm.load", api.Invalid, "the module imports "+mod+"."+name+" twice with different types")
}

// CheckSize refuses a module that declares more than a node gives a guest, which
// is most bytes of memory.
func CheckSize(info meter.Info, most uint64) error {
	const op = "wasm.load"
	switch {
	case info.MemMin > MaxInitialPages || uint64(info.MemMin)<<16 > most:
		return api.Errorf(op, api.Invalid, "the module declares more initial memory than this node gives a guest")
	case info.TableMin > MaxInitialTable:
		return api.Errorf(op, api.Invalid, "the module declares tables of more than 1,000,000 elements")
	}
	return nil
}

// CheckABI compares what inos_abi returned with the manifest.
func CheckABI(got uint32, abi uint16) error {
	if got != uint32(abi) {
		return api.Errorf("wasm.initialize", api.Invalid, fmt.Sprintf("the module's inos_abi does not return %d, the version in its manifest", abi))
	}
	return nil
}
