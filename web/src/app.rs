//! The panel's place in the frame loop.

use std::rc::Rc;

use eframe::egui::{self, Ui, Visuals};

use crate::page::Page;

/// Draws the page's panel.
pub struct App {
    page: Rc<Page>,
}

impl App {
    /// An app for a canvas that has just begun.
    pub fn new(context: &eframe::CreationContext<'_>, page: Rc<Page>) -> Self {
        isobath::panel::install(&context.egui_ctx);
        page.drawn_by(&context.egui_ctx);
        Self { page }
    }
}

impl eframe::App for App {
    fn logic(&mut self, _context: &egui::Context, frame: &mut eframe::Frame) {
        self.page.frame(frame.info().cpu_usage);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.page.ui(ui);
    }

    fn clear_color(&self, visuals: &Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}
