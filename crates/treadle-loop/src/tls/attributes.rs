//! The Python face of [`Tls`]: asyncio's names for its methods and attributes.

use std::cell::Cell;

use super::{Phase, Tls, load, read, write};
use crate::ffi::{Instance, Object, Result, Shared, Slot, Spec, Type};
use crate::known::names;

/// What `asyncio.sslproto` and `ssl` call things.
pub(super) struct Constants {
    /// `ssl.SSLObject`
    ssl_object: Object,
    /// The exceptions that say that bytes are missing.
    pub(super) again: Object,
    phases: [(Object, Phase); 4],
    /// Where an `ssl.SSLObject` keeps the object that does its work.
    engine: Object,
}

static CONSTANTS: Shared<Constants> = Shared::new();

#[inline]
pub(super) fn constants() -> &'static Constants {
    #[expect(clippy::expect_used, reason = "`class` sets them before there is an instance")]
    CONSTANTS.get().expect("the class is made before its instances")
}

/// Looks the constants up. Where Python has no `ssl`, or calls things otherwise, they are None, and the Python half leaves this class alone.
fn look_up() -> Result<Constants> {
    let text = |name| Object::interned(name);
    let sslproto = Object::import(c"asyncio.sslproto")?;
    let ssl = optional(&sslproto, &text(c"ssl")?);
    let states = optional(&sslproto, &text(c"SSLProtocolState")?);
    let again = optional(&sslproto, &text(c"SSLAgainErrors")?);
    Ok(Constants {
        ssl_object: optional(&ssl, &text(c"SSLObject")?),
        again: if again.is_none() { Object::tuple([])? } else { again },
        phases: [
            (optional(&states, &text(c"DO_HANDSHAKE")?), Phase::Handshake),
            (optional(&states, &text(c"WRAPPED")?), Phase::Wrapped),
            (optional(&states, &text(c"FLUSHING")?), Phase::Flushing),
            (optional(&states, &text(c"SHUTDOWN")?), Phase::Shutdown),
        ],
        engine: text(c"_sslobj")?,
    })
}

fn optional(object: &Object, name: &Object) -> Object {
    object.attribute(name).unwrap_or_else(|raised| {
        raised.forget();
        Object::none()
    })
}

/// Attributes that hold objects.
macro_rules! objects {
    ($spec:expr, $($name:literal $field:ident,)*) => {
        $spec$(.attribute($name, |this| Ok(load(&this.$field))).settable(|this, value| {
            this.$field.store((!value.is_none()).then(|| value.clone()));
            Ok(())
        }))*
    };
}

/// Attributes that hold truths.
macro_rules! flags {
    ($spec:expr, $($name:literal $field:ident,)*) => {
        $spec$(.attribute($name, |this| Ok(Object::bool(this.$field.get()))).settable(|this, value| {
            this.$field.set(value.is_true()?);
            Ok(())
        }))*
    };
}

/// Attributes that hold numbers.
macro_rules! numbers {
    ($spec:expr, $($name:literal $field:ident,)*) => {
        $spec$(.attribute($name, |this| Object::integer(this.$field.get())).settable(|this, value| set(&this.$field, value)))*
    };
}

/// Marks may be larger than any number of bytes.
fn set(cell: &Cell<i64>, value: &Object) -> Result<()> {
    cell.set(value.to_integer().or_else(|raised| {
        let exception = raised.take();
        if crate::ffi::Kind::OverflowError.matches(&exception) {
            Ok(i64::MAX)
        } else {
            Err(crate::ffi::Raised::restore(&exception))
        }
    })?);
    Ok(())
}

pub(super) fn class() -> Result<Type<Tls>> {
    CONSTANTS.set(look_up()?);
    let spec: Spec<Tls> = Spec::new(c"treadle._native.Tls", c"The native half of a TLS connection.").subclassable();
    let spec = objects!(spec,
        c"_transport" transport,
        c"_app_protocol" protocol,
        c"_write_backlog" stock_backlog,
    );
    let spec = flags!(spec,
        c"_app_protocol_is_buffer" protocol_is_buffered,
        c"_app_reading_paused" is_reading_paused,
        c"_ssl_reading_paused" is_transport_paused,
        c"_ssl_writing_paused" is_writing_paused,
        c"_app_writing_paused" is_protocol_paused,
    );
    let spec = numbers!(spec,
        c"_write_buffer_size" waiting,
        c"_outgoing_high_water" outgoing_high,
        c"_outgoing_low_water" outgoing_low,
        c"_incoming_high_water" incoming_high,
        c"_incoming_low_water" incoming_low,
    );
    let spec = spec
        .attribute(c"_state", |this| Ok(load(&this.state)))
        .settable(set_state)
        .attribute(c"_sslobj", |this| Ok(load(&this.ssl_object)))
        .settable(set_ssl_object)
        .attribute(c"_incoming", |this| Ok(load(&this.incoming)))
        .settable(|this, bio| set_bound(bio, &this.incoming, &[(&this.put, &names().write)]))
        .attribute(c"_outgoing", |this| Ok(load(&this.outgoing)))
        .settable(|this, bio| set_bound(bio, &this.outgoing, &[(&this.take, &names().read)]));
    write::methods(read::methods(spec)).create(None)
}

fn set_state(this: &Instance<Tls>, state: &Object) -> Result<()> {
    let found = constants().phases.iter().find(|(constant, _)| constant.is(state));
    let phase = found.map_or(Phase::Unwrapped, |&(_, phase)| phase);
    match phase {
        // The handshake may have left anything.
        Phase::Wrapped => this.records.borrow_mut().doubt(),
        // What was gathered comes before the end, whether or not anything is read until then.
        Phase::Flushing => write::encrypt_gathered(this)?,
        Phase::Unwrapped | Phase::Handshake | Phase::Shutdown => {}
    }
    this.phase.set(phase);
    this.state.store(Some(state.clone()));
    Ok(())
}

/// Classes below `ssl.SSLObject` may have methods of their own; for the class itself the object behind it is asked.
fn set_ssl_object(this: &Instance<Tls>, ssl_object: &Object) -> Result<()> {
    let constants = constants();
    let engine = if ssl_object.has_type(&constants.ssl_object) {
        optional(ssl_object, &constants.engine)
    } else {
        Object::none()
    };
    let engine = if engine.is_none() { ssl_object.clone() } else { engine };
    set_bound(&engine, &Slot::default(), &[(&this.decrypt, &names().read), (&this.encrypt, &names().write)])?;
    this.ssl_object.store((!ssl_object.is_none()).then(|| ssl_object.clone()));
    Ok(())
}

/// Keeps an object and those of its methods that are called for each record.
fn set_bound(object: &Object, place: &Slot, methods: &[(&Slot, &Object)]) -> Result<()> {
    let is_there = !object.is_none();
    for (slot, name) in methods {
        slot.store(if is_there { Some(object.attribute(name)?) } else { None });
    }
    place.store(is_there.then(|| object.clone()));
    Ok(())
}
