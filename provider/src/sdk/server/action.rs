//! `PlanAction` and `InvokeAction`.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};

use super::wire::{decode, diagnostics};
use super::{Server, deferred, panic, proto};
use crate::sdk::context::Private;
use crate::sdk::{Context, Diagnostic, Progress, Provider};

use proto::invoke_action::event::{self, Type};
use proto::invoke_action::{Event, Request};
use proto::plan_action as plan;

impl<P: Provider> Server<P> {
    /// Whether it can be done. What an action will find is not looked at before it is invoked.
    pub(super) fn plan_action(&self, request: &plan::Request) -> plan::Response {
        let deferred = self.defers(request.client_capabilities.as_ref()).then(deferred);
        let problem = self.action(&request.action_type).err();
        plan::Response { diagnostics: diagnostics(problem), deferred }
    }

    /// Does it, in a task of its own. The stream tells how far it is, and at last how it went.
    pub(super) fn invoke(self: Arc<Self>, request: Request) -> impl Stream<Item = Event> + Send + use<P> {
        let (events, stream) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (lines, said) = mpsc::unbounded_channel();
            let mut said = UnboundedReceiverStream::new(said);
            let progress = Progress::new(lines);
            let work = async {
                let told = self.try_invoke(&request, &progress).await;
                // Nothing more is said, which ends the loop beside.
                drop(progress);
                told.unwrap_or_else(|diagnostic| vec![diagnostic])
            };
            let pass_on = async {
                while let Some(message) = said.next().await {
                    _ = events.send(Event { r#type: Some(Type::Progress(event::Progress { message })) });
                }
            };
            let (told, ()) = tokio::join!(work, pass_on);
            let completed = event::Completed { diagnostics: diagnostics(told) };
            _ = events.send(Event { r#type: Some(Type::Completed(completed)) });
        });
        UnboundedReceiverStream::new(stream)
    }

    async fn try_invoke(
        &self,
        request: &Request,
        progress: &Progress,
    ) -> Result<Vec<Diagnostic>, Diagnostic> {
        let action = self.action(&request.action_type)?;
        let config = decode(request.config.as_ref(), action.schema())?;
        let client = self.client()?;
        let ctx = Context::new(self.stop.token(), action.time_limit(&config)?, Private::new());
        let result = panic::catch(action.invoke(&client, &ctx, &config, progress)).await.flatten();
        let mut told = ctx.into_told().diagnostics;
        told.extend(result.err());
        Ok(told)
    }
}
