// Command grpc-go is one end of a gRPC call, by the library of the Go implementation: messages are bytes to it.
//
//	grpc-go call SOCKET METHOD <MESSAGE
//	grpc-go serve SOCKET CODE TEXT
//
// A client prints the answer in hexadecimal. A server answers every call: with the message that TEXT is in hexadecimal if CODE is 0, else with an error of that code
// that says TEXT. It prints a line for each message that it got: the method's path, and the message in hexadecimal.
package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// raw leaves messages, which are pointers to byte slices, as they are.
type raw struct{}

var _ encoding.Codec = raw{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "call":
		err = call(os.Args[2], os.Args[3])
	case len(os.Args) == 5 && os.Args[1] == "serve":
		err = serve(os.Args[2], os.Args[3], os.Args[4])
	default:
		fmt.Fprintln(os.Stderr, "usage: grpc-go call SOCKET METHOD <MESSAGE\n       grpc-go serve SOCKET CODE TEXT")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func call(socket, method string) error {
	message, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var answer []byte
	if err := connection.Invoke(ctx, method, &message, &answer, grpc.ForceCodec(raw{})); err != nil {
		return err
	}
	fmt.Println(hex.EncodeToString(answer))
	return nil
}

func serve(socket, code, text string) error {
	number, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		return err
	}
	var answer []byte
	if number == 0 {
		if answer, err = hex.DecodeString(text); err != nil {
			return err
		}
	}
	handle := func(_ any, stream grpc.ServerStream) error {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		method, _ := grpc.MethodFromServerStream(stream)
		fmt.Printf("%s %s\n", method, hex.EncodeToString(message))
		if number != 0 {
			return status.Error(codes.Code(number), text)
		}
		return stream.SendMsg(&answer)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(handle)).Serve(listener)
}
