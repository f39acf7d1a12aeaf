//! A file on its way in: the raw body, streamed.

use bytes::Bytes;
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use salvo::{
    Depot, Request,
    http::{StatusCode, header, headers::HeaderMapExt},
};
use tenon_core::{BoxError, Error, ports::blob::ByteStream};
use utoipa::openapi::{
    Object, Required, Schema,
    path::{ParameterBuilder, ParameterIn},
    schema::{KnownFormat, SchemaFormat, Type},
};

use super::params::header_text;
use crate::{
    endpoint::{Input, OpDoc},
    problem::Problem,
};

/// The most characters of the parameter `name`, which may be a whole path.
const NAME_LIMIT: usize = 1000;

/// A file on its way in.
pub struct Upload {
    /// Its name, from the parameter `name` or from `Content-Disposition`; not yet checked.
    pub name: Option<String>,
    /// Its media type; `application/octet-stream` when the client does not say.
    pub media_type: String,
    /// Its length, when the client says so.
    pub length: Option<u64>,
    body: ByteStream,
}

impl Upload {
    /// The bytes, at most `limit` of them.
    ///
    /// A length that is announced and too large is refused here. Otherwise the stream ends with
    /// [`Error::TooLarge`] as its error once it has gone over: whoever stores it gives that error back.
    pub fn limited(self, limit: u64) -> Result<ByteStream, Problem> {
        if self.length.is_some_and(|length| length > limit) {
            return Err(Error::TooLarge { limit }.into());
        }
        let counted = self.body.scan((0_u64, false), move |(seen, over), chunk| {
            if *over {
                return std::future::ready(None);
            }
            let chunk = chunk.and_then(|bytes| {
                *seen += bytes.len() as u64;
                *over = *seen > limit;
                if *over { Err(BoxError::from(Error::TooLarge { limit })) } else { Ok(bytes) }
            });
            std::future::ready(Some(chunk))
        });
        Ok(counted.boxed())
    }
}

impl Input for Upload {
    async fn extract(req: &mut Request, _: &mut Depot) -> Result<Self, Problem> {
        let name =
            req.query::<String>("name").or_else(|| disposition_name(req)).filter(|name| !name.contains('\0'));
        let media_type = req
            .content_type()
            .map_or_else(|| "application/octet-stream".to_owned(), |given| given.essence_str().to_owned());
        if media_type.starts_with("multipart/") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Send the bytes of the file as the body, not a form.",
            ));
        }
        let length = req.headers().typed_get::<salvo::http::headers::ContentLength>().map(|length| length.0);
        let body = req.take_body().filter_map(|frame| {
            std::future::ready(match frame {
                Ok(frame) => frame.into_data().ok().map(Ok::<Bytes, BoxError>),
                Err(error) => Some(Err(error.into())),
            })
        });
        Ok(Self { name, media_type, length, body: body.boxed() })
    }

    fn describe(doc: &mut OpDoc) {
        doc.streaming = true;
        doc.query_names.insert("name".to_owned());
        let mut text = Object::with_type(Type::String);
        text.max_length = Some(NAME_LIMIT);
        let name = ParameterBuilder::new()
            .name("name")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some("The file's name; otherwise taken from `Content-Disposition`."))
            .schema(Some(Schema::Object(text)))
            .example(Some("plan.pdf".into()))
            .build();
        doc.add_parameter(name);
        let mut bytes = Object::with_type(Type::String);
        bytes.format = Some(SchemaFormat::KnownFormat(KnownFormat::Binary));
        "application/octet-stream".clone_into(&mut bytes.content_media_type);
        doc.raw_body(&Schema::Object(bytes).into(), &["application/octet-stream"]);
        doc.problem(StatusCode::PAYLOAD_TOO_LARGE, "The file is larger than allowed.");
        doc.problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is a form.");
    }
}

/// `filename*` (RFC 8187) before `filename`.
fn disposition_name(req: &Request) -> Option<String> {
    let text = header_text(req, &header::CONTENT_DISPOSITION)?;
    let parameter = |wanted: &str| {
        text.split(';').skip(1).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let extended = parameter("filename*").and_then(|value| {
        let encoded =
            value.split_once("''").filter(|(charset, _)| charset.eq_ignore_ascii_case("utf-8"))?.1.to_owned();
        percent_decode_str(&encoded).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    });
    extended.or_else(|| parameter("filename"))
}
