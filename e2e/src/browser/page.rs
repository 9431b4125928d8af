//! What a user sees and does on a page.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::devtools::DevTools;
use crate::wait::eventually;
use crate::workdir::WorkDir;

/// How long a page may take to show what is waited for.
const SHOWN_BOUND: Duration = Duration::from_secs(30);

/// A page of a private window, which is closed when this is dropped. CSS selectors name elements; the first one counts.
#[derive(Debug)]
pub struct Page {
    devtools: Mutex<DevTools>,
    session: String,
    workdir: WorkDir,
}

impl Page {
    pub(super) async fn open(authority: &str, path: &str, name: &str) -> Result<Self> {
        let mut devtools = DevTools::connect(authority, path).await?;
        let text = |answer: &Value, key: &str| -> Result<String> {
            let text = answer[key].as_str().with_context(|| format!("no {key} in {answer}"))?;
            Ok(text.to_owned())
        };
        // Its cookies go with the connection.
        let context = devtools
            .call(None, "Target.createBrowserContext", json!({"disposeOnDetach": true}))
            .await?;
        let target = json!({"url": "about:blank", "browserContextId": text(&context, "browserContextId")?});
        let target = devtools.call(None, "Target.createTarget", target).await?;
        let attach = json!({"targetId": text(&target, "targetId")?, "flatten": true});
        let session = devtools.call(None, "Target.attachToTarget", attach).await?;
        Ok(Self {
            session: text(&session, "sessionId")?,
            devtools: Mutex::new(devtools),
            workdir: WorkDir::new(&format!("page-{name}"))?,
        })
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value> {
        let mut devtools = self.devtools.lock().await;
        devtools.call(Some(&self.session), method, params).await
    }

    /// The value of a JavaScript expression on the page.
    ///
    /// # Errors
    /// It throws, or the page is just being left.
    pub async fn evaluate(&self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", params).await?;
        if !answer["exceptionDetails"].is_null() {
            bail!(
                "{expression}: {}",
                answer["exceptionDetails"]["exception"]["description"]
            );
        }
        Ok(answer["result"]["value"].take())
    }

    /// Goes to a URL, as if it were typed. The page may not be complete yet: wait for what it shall show.
    ///
    /// # Errors
    /// It cannot be reached, or its certificate is not trusted: the text has Chromium's name for it.
    pub async fn go(&self, url: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({ "url": url })).await?;
        match answer["errorText"].as_str() {
            None | Some("") => Ok(()),
            Some(error) => bail!("{url}: {error}"),
        }
    }

    /// The URL that the user sees.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub async fn url(&self) -> Result<String> {
        let url = self.evaluate("location.href").await?;
        Ok(url.as_str().context("a page without URL")?.to_owned())
    }

    /// The words that the user sees.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub async fn words(&self) -> Result<String> {
        let words = self.evaluate("document.body ? document.body.innerText : ''").await?;
        Ok(words.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until an element is there; gives its words.
    ///
    /// # Errors
    /// It is not within 30 s: the text has the URL and the words of the page instead.
    pub async fn shows(&self, selector: &str) -> Result<String> {
        let expression = format!("document.querySelector({})?.innerText", json!(selector));
        self.eventually(format!("the page shows {selector}"), async || {
            let text = self.evaluate(&expression).await?;
            Ok(text.as_str().map(str::to_owned))
        })
        .await
    }

    /// Whether an element is there now.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub async fn has(&self, selector: &str) -> Result<bool> {
        let expression = format!("document.querySelector({}) !== null", json!(selector));
        Ok(self.evaluate(&expression).await? == true)
    }

    /// Waits until the page's words hold this text; gives all of them.
    ///
    /// # Errors
    /// As [`Self::shows`].
    pub async fn says(&self, text: &str) -> Result<String> {
        self.eventually(format!("the page says {text:?}"), async || {
            let words = self.words().await?;
            Ok(words.contains(text).then_some(words))
        })
        .await
    }

    /// Waits until `probe` finds something.
    async fn eventually<T>(&self, what: impl Display, probe: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
        eventually(what, SHOWN_BOUND, async || match probe().await? {
            Some(found) => Ok(found),
            None => bail!("{} says: {}", self.url().await?, shortened(&self.words().await?)),
        })
        .await
    }

    /// Waits for an element, and clicks into its middle.
    ///
    /// # Errors
    /// It is not there, or cannot be seen.
    pub async fn click(&self, selector: &str) -> Result<()> {
        self.shows(selector).await?;
        let middle = format!(
            "(() => {{ const element = document.querySelector({}); element.scrollIntoView({{block: 'center', behavior: 'instant'}}); \
             const box = element.getBoundingClientRect(); const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]; \
             const hit = document.elementFromPoint(x, y); return [x, y, !!hit && element.contains(hit)]; }})()",
            json!(selector)
        );
        let middle = self.evaluate(&middle).await?;
        ensure!(middle[2] == true, "{selector} cannot be seen where it is: {middle}");
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Clicks into a field and types.
    ///
    /// # Errors
    /// As [`Self::click`].
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        self.click(selector).await?;
        self.call("Input.insertText", json!({ "text": text })).await.map(drop)
    }

    /// Does `steps`; if they fail, keeps what the page shows as `<name>.png` and `<name>.html` in its folder.
    ///
    /// # Errors
    /// Those of `steps`, with the path of the picture.
    pub async fn recorded<T>(&self, name: &str, steps: impl Future<Output = Result<T>>) -> Result<T> {
        let error = match steps.await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let kept = match self.keep(name).await {
            Ok(path) => format!("{name}; the page is kept as {path}"),
            Err(failed) => format!("{name}; the page could not be kept: {failed:#}"),
        };
        Err(error.context(kept))
    }

    async fn keep(&self, name: &str) -> Result<String> {
        let html = self.evaluate("document.documentElement.outerHTML").await?;
        let url = self.url().await?;
        let html = html.as_str().unwrap_or_default();
        self.workdir
            .write(&format!("{name}.html"), format!("<!-- {url} -->\n{html}"))?;
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        let picture = STANDARD.decode(picture["data"].as_str().context("no picture")?)?;
        let path = self.workdir.write(&format!("{name}.png"), picture)?;
        Ok(path.display().to_string())
    }
}

/// As much as a person reads in a failed test.
fn shortened(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    words.join(" ").chars().take(400).collect()
}
