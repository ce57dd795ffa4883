//! The small services that go-plugin expects beside the provider itself.

use proto::grpc_broker_server::{GrpcBroker, GrpcBrokerServer};
use proto::grpc_controller_server::{GrpcController, GrpcControllerServer};
use proto::grpc_stdio_server::{GrpcStdio, GrpcStdioServer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::sdk::proto::go_plugin as proto;
use crate::sdk::proto::health::{
    self,
    health_server::{Health, HealthServer},
};

/// The name by which go-plugin asks after the health of a plug-in.
const PLUGIN: &str = "plugin";

pub(super) fn health_server() -> HealthServer<Serving> {
    HealthServer::new(Serving)
}

pub(super) fn broker_server(shutdown: CancellationToken) -> GrpcBrokerServer<Silent> {
    GrpcBrokerServer::new(Silent { shutdown })
}

pub(super) fn stdio_server(shutdown: CancellationToken) -> GrpcStdioServer<Silent> {
    GrpcStdioServer::new(Silent { shutdown })
}

/// `shutdown` is what the order to shut down cancels.
pub(super) fn controller_server(shutdown: CancellationToken) -> GrpcControllerServer<Controller> {
    GrpcControllerServer::new(Controller { shutdown })
}

/// A plug-in that answers is healthy.
#[derive(Debug)]
pub(super) struct Serving;

#[tonic::async_trait]
impl Health for Serving {
    async fn check(
        &self,
        request: Request<health::HealthCheckRequest>,
    ) -> Result<Response<health::HealthCheckResponse>, Status> {
        use health::health_check_response::ServingStatus;
        match request.into_inner().service.as_str() {
            "" | PLUGIN => {
                Ok(Response::new(health::HealthCheckResponse { status: ServingStatus::Serving.into() }))
            }
            other => Err(Status::not_found(format!("there is no service {other:?}"))),
        }
    }
}

/// Streams that stay open without ever carrying anything, until the server shuts down.
#[derive(Debug)]
pub(super) struct Silent {
    shutdown: CancellationToken,
}

impl Silent {
    fn stream<T: Send + 'static>(&self) -> ReceiverStream<Result<T, Status>> {
        let (sender, receiver) = mpsc::channel(1);
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sender.closed() => {}
            }
        });
        ReceiverStream::new(receiver)
    }
}

#[tonic::async_trait]
impl GrpcBroker for Silent {
    type StartStreamStream = ReceiverStream<Result<proto::ConnInfo, Status>>;

    async fn start_stream(
        &self,
        _: Request<Streaming<proto::ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        Ok(Response::new(self.stream()))
    }
}

#[tonic::async_trait]
impl GrpcStdio for Silent {
    type StreamStdioStream = ReceiverStream<Result<proto::StdioData, Status>>;

    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<Self::StreamStdioStream>, Status> {
        Ok(Response::new(self.stream()))
    }
}

/// Takes the order to shut down.
#[derive(Debug)]
pub(super) struct Controller {
    shutdown: CancellationToken,
}

#[tonic::async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _: Request<proto::Empty>) -> Result<Response<proto::Empty>, Status> {
        tracing::debug!("asked to shut down");
        self.shutdown.cancel();
        Ok(Response::new(proto::Empty {}))
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn the_plugin_is_healthy_and_nothing_else_exists() {
        let check = async |service: &str| {
            let request = Request::new(health::HealthCheckRequest { service: service.to_owned() });
            Serving.check(request).await.map(|response| response.into_inner().status)
        };
        assert_eq!(check("plugin").await.unwrap(), 1);
        assert_eq!(check("").await.unwrap(), 1);
        assert_eq!(check("other").await.unwrap_err().code(), tonic::Code::NotFound);
    }

    #[tokio::test]
    async fn streams_end_when_the_order_to_shut_down_comes() {
        let shutdown = CancellationToken::new();
        let mut stream =
            Silent { shutdown: shutdown.clone() }.stream_stdio(Request::new(())).await.unwrap().into_inner();
        let controller = Controller { shutdown };
        controller.shutdown(Request::new(proto::Empty {})).await.unwrap();
        assert!(stream.next().await.is_none());
    }
}
