// Package apiv1connect is generated: clients and handlers of the API (see package apiv1) that speak gRPC, gRPC-Web and plain JSON over HTTP.
package apiv1connect
