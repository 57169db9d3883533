use traced_runtime::traced;

pub struct Cart(u8);

#[traced(tags("component" = "cart"), err(Debug))]
impl Cart {
    pub const LIMIT: usize = { 3 };

    pub const fn constant(&self) -> u8 {
        self.0
    }

    pub fn plain(&self) -> u8 {
        self.0
    }

    #[traced(name = "renamed")]
    pub fn named(&self) -> Result<u8, String> {
        Ok(self.0)
    }

    #[traced(skip)]
    pub fn left_out(&self) -> u8 {
        self.0
    }

    #[cfg_attr(not(test), traced(skip), inline)]
    pub fn sometimes_left_out(&self) -> u8 {
        self.0
    }

    pub async fn asynchronous(&self) -> u8 {
        self.0
    }
}

#[traced(require_parent)]
pub mod inner {
    pub fn function() -> u8 {
        private()
    }

    fn private() -> u8 {
        1
    }

    pub struct Sized<const N: usize>;

    impl Sized<{ 1 + 2 }> {
        pub fn method(&self) {}
    }

    pub mod nested {
        pub fn function() -> Result<(), String> {
            Ok(())
        }
    }

    pub trait Given {
        fn needed(&self);
        fn given(&self) {}
    }

    macro_rules! made {
        () => {
            pub fn made() {}
        };
    }
    made!();

    pub use nested::function as renamed;
}

macro_rules! parts {
    ($(#[$meta:meta])* $vis:vis $name:ident($arg:pat, $ty:ty) -> $ret:ty = $tag:expr, $body:block) => {
        $(#[$meta])*
        #[traced(tags(tag = $tag))]
        $vis fn $name($arg: $ty) -> $ret $body
    };
}
parts!(#[inline] pub from_parts(number, u8) -> Result<u8, String> = 3_u8, { Ok(number) });
parts!(pub from_parts_boxed(number, u8) -> futures::future::BoxFuture<'static, u8> = 3_u8, { Box::pin(async move { number }) });

macro_rules! whole {
    ($($item:item)*) => { $(#[traced] $item)* };
}
whole! {
    pub fn whole(number: u8) -> u8 {
        number
    }
    pub async fn whole_async(number: u8) -> u8 {
        number
    }
    impl Cart {
        pub fn whole_method(&self) {}
    }
}
