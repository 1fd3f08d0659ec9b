// Command libcni-gc is a runtime's GC: libcni's GCNetworkList, and nothing of its own.
//
//	CNI_PATH=/opt/cni/bin libcni-gc NETWORK_LIST_FILE <ATTACHMENTS
//
// ATTACHMENTS is a JSON list of what is alive, each with containerID and ifname. Nothing at all is a runtime that gives
// libcni no list, as cnitool does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: libcni-gc NETWORK_LIST_FILE <ATTACHMENTS")
		os.Exit(2)
	}
	if err := collect(os.Args[1], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func collect(file string, attachments io.Reader) error {
	list, err := libcni.NetworkConfFromFile(file)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(attachments)
	if err != nil {
		return err
	}
	var args *libcni.GCArgs
	if len(text) > 0 {
		args = &libcni.GCArgs{}
		if err := json.Unmarshal(text, &args.ValidAttachments); err != nil {
			return fmt.Errorf("attachments: %w", err)
		}
	}
	plugins := libcni.NewCNIConfig(filepath.SplitList(os.Getenv("CNI_PATH")), nil)
	return plugins.GCNetworkList(context.Background(), list, args)
}
