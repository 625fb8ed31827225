//! Reader threads, each with a connection of its own. A read sees all that was committed before it was
//! asked for, and never waits for the writer.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use mmsgw_store::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// The reader threads.
pub(crate) struct Readers {
    questions: Option<mpsc::Sender<Question>>,
    threads: Vec<JoinHandle<()>>,
}

type Question = Box<dyn FnOnce(&Connection) + Send>;

impl Readers {
    /// Starts a thread for each connection.
    pub(crate) fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING * connections.len().max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |connection| {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || serve(&connection, &receiver))
        };
        let threads = connections.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { questions: Some(sender), threads })
    }

    /// Asks one of the threads.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |connection| {
            // Who asked may have gone away.
            let _ = reply.send(look(connection));
        });
        let questions = self.questions.as_ref().ok_or_else(stopped)?;
        questions.send(question).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// True while all threads run.
    pub(crate) fn are_well(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.questions = None;
        for thread in self.threads.drain(..) {
            // It ends on its own, or has ended with a panic that was reported.
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, questions: &Mutex<mpsc::Receiver<Question>>) {
    loop {
        // One thread waits for a question, the others for their turn to wait.
        let question = questions.lock().blocking_recv();
        let Some(question) = question else { return };
        question(connection);
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store's readers have stopped".to_owned())
}

/// Questions that may wait per thread before those who ask have to.
const WAITING: usize = 256;
