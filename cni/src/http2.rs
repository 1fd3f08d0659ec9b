//! gRPC's transport: one HTTP/2 connection to the daemon.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use h2::RecvStream;
use h2::client::{self, SendRequest};
use http::{Request, Response};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::body::Body as RequestBody;
use tonic::codegen::{Bytes, Service};

use crate::connection::Connection;

/// Sends requests.
#[derive(Clone, Debug)]
pub(crate) struct Http2(SendRequest<Bytes>);

/// Makes `call` on `connection`. Only what [`Connection::run`] runs gets anywhere with it.
pub(crate) async fn with<T>(
    connection: Connection,
    call: impl AsyncFnOnce(Http2) -> Result<T, Status>,
) -> Result<T, Status> {
    let (sender, protocol) = client::handshake(connection)
        .await
        .map_err(|error| Status::from_error(error.into()))?;
    let mut protocol = pin!(protocol);
    let mut call = pin!(call(Http2(sender)));
    let mut ended = false;
    let outcome = std::future::poll_fn(|context| {
        // A connection that ended has told the call so, with the reason.
        ended = ended || protocol.as_mut().poll(context).is_ready();
        call.as_mut().poll(context)
    });
    outcome.await
}

impl Service<Request<RequestBody>> for Http2 {
    type Response = Response<Incoming>;
    type Error = h2::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, h2::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (head, body) = request.into_parts();
        let sent = self.0.send_request(Request::from_parts(head, ()), false);
        Box::pin(async move {
            let (response, mut stream) = sent?;
            let mut body = pin!(body);
            while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
                // The only body is a message that is in memory already.
                let Ok(data) = frame.map(Frame::into_data) else {
                    break;
                };
                if let Ok(data) = data {
                    stream.send_data(data, false)?;
                }
            }
            stream.send_data(Bytes::new(), true)?;
            response.await.map(|response| response.map(Incoming))
        })
    }
}

/// The body of a response.
#[derive(Debug)]
pub(crate) struct Incoming(RecvStream);

impl Body for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(data) = ready!(self.0.poll_data(context)) {
            let freed = data.and_then(|data| {
                self.0.flow_control().release_capacity(data.len())?;
                Ok(Frame::data(data))
            });
            return Poll::Ready(Some(freed));
        }
        let trailers = ready!(self.0.poll_trailers(context));
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }
}
